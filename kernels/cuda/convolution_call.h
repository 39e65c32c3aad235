#pragma once
/// What planners and launchers know of a convolution that is a product (convolution.h).

#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/tile_moments.h"

namespace SCRAWL_CUDA {

/// `read` is the image whose patches are taken, `written` the result: x and y, or dy and dx.
struct ConvolutionCall {
  View read, w, b, written;
  Activation activation = Activation::none;
  std::int64_t groups;
  WindowAxis h, w_axis;
  PatchRows rows;
  std::int64_t window = 1;  ///< pixels of a pooling's window
  Pooling pooling{};
  View mean{};      ///< of the result, where its moments are wanted
  Widths widths{};  ///< of the result, where its moments are wanted

  std::int64_t depth_c() const { return read.shape[1] / groups; }
  std::int64_t depth() const { return depth_c() * w.shape[2] * w.shape[3]; }
  /// Whether vectors of 16 bytes of the image lie in one pixel and its neighbours a step apart.
  bool reads_vectors() const {
    return is_vector_aligned(read.data) &&
           depth_c() * static_cast<std::int64_t>(size_of(read.type)) % 16 == 0 && h.up.divisor == 1 &&
           w_axis.up.divisor == 1;
  }
  std::int64_t columns() const { return written.shape[1] / groups; }

  template <class Tile>
  std::int64_t row_tiles() const {
    return (std::int64_t{rows.count} + Tile::m - 1) / Tile::m;
  }
  /// Of a group.
  template <class Tile>
  std::int64_t tiles() const {
    return row_tiles<Tile>() * ((columns() + Tile::n - 1) / Tile::n);
  }

  /// Where the result's tiles leave their moments: nowhere, if they are not wanted.
  template <class Tile>
  TileMoments moments(Bytes workspace) const {
    if (!mean.present()) return {};
    return {Partials(workspace, static_cast<int>(row_tiles<Tile>()), written.shape[1]), widths};
  }

  /// `parts`: where sums go that a second kernel adds; null where there are none.
  Result result(float* parts) const {
    return {.m = rows.count,
            .n = static_cast<int>(written.shape[1]),
            .parts = parts,
            .bias = b.as<const float>(),
            .activation = activation,
            .y = written.data,
            .y_type = written.type,
            .in_vectors = is_vector_aligned(written.data) && columns() % Chunk::columns == 0 &&
                          reinterpret_cast<std::uintptr_t>(pooling.argmax) % Chunk::columns == 0};
  }

  /// The patches of the image that is read.
  template <class T>
  Patches<T> patches() const {
    return {.x = read.as<const T>(),
            .channels = static_cast<int>(read.shape[1]),
            .h = h,
            .w = w_axis,
            .rows = rows,
            .taps_w = Divisor(w.shape[3]),
            .depth_c = Divisor(depth_c()),
            .depth = static_cast<int>(depth())};
  }
};

/// Rows in the order of an image's pixels, or of its windows. Throws Refused beyond what kernels can count.
inline PatchRows patch_rows(const Shape& image, const PoolParams& pool = {.window_h = 1, .window_w = 1}) {
  const auto height = image[2] / pool.window_h, width = image[3] / pool.window_w,
             pixels = pool.window_h * pool.window_w, count = image[0] * height * width * pixels;
  constexpr std::int64_t most = 0x7fffffff - 4096;  // so that no index of a tile's edge overflows
  if (count > most) throw Refused("needs at most {} pixels, got {}", most, count);
  return {.count = static_cast<int>(count),
          .height = Divisor(std::max<std::int64_t>(1, height)),
          .width = Divisor(std::max<std::int64_t>(1, width)),
          .window_w = Divisor(pool.window_w),
          .window = Divisor(pixels),
          .window_h = static_cast<int>(pool.window_h)};
}

/// What indices of 32 bits must hold.
inline void refuse_large(const ConvolutionCall& c) {
  constexpr std::int64_t most = 0x3fffffff, most_groups = 0xffff;
  const auto padded = [](const WindowAxis& axis) {
    return std::int64_t{axis.extent} + std::abs(axis.offset);
  };
  for (const auto extent : {c.read.shape[0] * c.read.shape[2], c.depth(), padded(c.h), padded(c.w_axis),
                            c.written.shape[1], c.read.shape[0] * c.read.shape[2] * c.read.shape[3]})
    if (extent > most) throw Refused("needs extents up to {}, got {}", most, extent);
  if (c.groups > most_groups) throw Refused("needs at most {} groups, got {}", most_groups, c.groups);
}

inline ConvolutionCall convolution_of(const Conv2dForward& c) {
  const auto& p = c.params;
  return {.read = c.x,
          .w = c.w,
          .b = c.b,
          .written = c.y,
          .activation = c.activation,
          .groups = p.groups,
          .h = WindowAxis::forward(c.x.shape[2], p.stride_h, p.pad_top, p.dilation_h),
          .w_axis = WindowAxis::forward(c.x.shape[3], p.stride_w, p.pad_left, p.dilation_w),
          .rows = patch_rows(conv2d_output(p, c.x.shape, c.w.shape))};
}

inline ConvolutionCall convolution_of(const Conv2dPoolForward& c) {
  auto pooled = convolution_of(Conv2dForward{
      .params = c.params, .activation = Activation::relu, .x = c.x, .w = c.w, .b = c.b, .y = c.y});
  const auto convolved = conv2d_output(c.params, c.x.shape, c.w.shape);
  pooled.rows = patch_rows(convolved, c.pool);
  pooled.window = c.pool.window_h * c.pool.window_w;
  pooled.pooling = {.argmax = c.argmax.as<std::uint8_t>(),
                    .widths = Widths(c.convolved_widths, convolved[3]),
                    .pooled_widths = Widths(c.y_widths, c.y.shape[3]),
                    .is_on = true};
  return pooled;
}

inline ConvolutionCall convolution_of(const Conv2dMomentsForward& c) {
  auto call = convolution_of(
      Conv2dForward{.params = c.params, .x = c.x, .w = c.w, .b = c.b, .y = c.y, .y_widths = c.y_widths});
  call.mean = c.mean;
  call.widths = Widths(c.y_widths, c.y.shape[3]);
  return call;
}

/// A workspace for what tiles leave, small ones or large ones, and behind it for merging that.
struct MomentsWorkspace {
  std::size_t left, bytes;
  int multiprocessors;

  MomentsWorkspace(const ConvolutionCall& c, int multiprocessors_of_gpu)
      : multiprocessors(multiprocessors_of_gpu) {
    const auto channels = c.written.shape[1];
    const auto small = static_cast<int>(c.row_tiles<SmallTile>()),
               large = static_cast<int>(c.row_tiles<LargeTile>());
    left = workspace_aligned(Partials::bytes(small, channels));
    bytes = left + std::max(merge_bytes(small, channels, multiprocessors),
                            merge_bytes(large, channels, multiprocessors));
  }

  void merge(const Partials& tiles, const Conv2dMomentsForward& c, Bytes workspace, Stream stream) const {
    merge_partials(tiles, c.mean, c.variance, workspace.subspan(left), multiprocessors, stream);
  }
};

inline ConvolutionCall convolution_of(const Conv2dBackwardData& c) {
  const auto& p = c.params;
  return {.read = c.dy,
          .w = c.w,
          .written = c.dx,
          .groups = p.groups,
          .h = WindowAxis::backward(c.dy.shape[2], p.stride_h, p.pad_top, p.dilation_h),
          .w_axis = WindowAxis::backward(c.dy.shape[3], p.stride_w, p.pad_left, p.dilation_w),
          .rows = patch_rows(c.dx.shape)};
}

// In conv2d_operands.cu:

/// w (K, C/G, R, S), any strides, as rows of a product that are `stride` elements apart and end in zeros:
/// (K, R S C/G) for y, (C, R S K/G) for dx.
enum class Rows : std::uint8_t { outputs, inputs };
void arrange_weights(const View& w, std::int64_t groups, Rows, void* rows, std::int64_t stride, Stream);

/// Zeroes an NHWC image's columns at and beyond its valid widths. Without widths: nothing.
void zero_beyond(const View& image, const View& widths, Stream);

// In conv2d_narrow.cu: for windows of few elements in all.
Plan<Conv2dForward> conv2d_narrow(Conv2dForward&, const Selection&);
Plan<Conv2dPoolForward> conv2d_pool_narrow(Conv2dPoolForward&, const Selection&);
Plan<Conv2dMomentsForward> conv2d_moments_narrow(Conv2dMomentsForward&, const Selection&);

}  // namespace SCRAWL_CUDA
