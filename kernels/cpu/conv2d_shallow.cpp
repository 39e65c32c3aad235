/// Convolution of images with few channels, the first layer of a network: as many products as a matrix
/// product of depth C R S, on windows that are never gathered. Images are padded and widened once; then a
/// window row is S values in place.
///
/// One core of Emerald Rapids, ms, this (oneDNN 2.6.3): FILL

#include <algorithm>
#include <utility>

#include "kernels/cpu/conv2d_variants.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/nonlinear.h"
#include "kernels/cpu/streaming.h"
#include "kernels/cpu/widths.h"

namespace scrawl::cpu {

namespace {

constexpr std::int64_t most_channels = 4;
/// Returns its argument as a value that the compiler knows nothing of. Neighbouring iterations below read the
/// same pixels: kept in registers, g++ broadcasts them on a port that multiply-adds need, 1.5 times slower.
[[gnu::always_inline]] inline const float* unknown(const float* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

constexpr int pair = 2;  ///< blocks of 16 outputs that a register tile covers

/// Throws Refused where the kernels below do not apply.
void check_shallow(const Conv2dParams& p, const Shape& x, const Shape& w, const Shape& results) {
  if (x[1] > most_channels) throw Refused("needs at most 4 input channels, got {}", x[1]);
  if (w[0] < lanes) throw Refused("needs at least 16 outputs, got {}", w[0]);
  if (p.stride_h != 1 || p.stride_w != 1) throw Refused("needs stride 1, got {}x{}", p.stride_h, p.stride_w);
  if (p.dilation_h != 1 || p.dilation_w != 1)
    throw Refused("needs dilation 1, got {}x{}", p.dilation_h, p.dilation_w);
  if (p.groups != 1) throw Refused("needs one group, got {}", p.groups);
  if (results.count() == 0) throw Refused("needs elements, got an empty batch");
}

/// Extents of a convolution and of its operands' copies in the workspace.
struct Extents {
  std::int64_t images, channels, outputs, taps_h, taps_w, out_height, out_width;
  std::int64_t height, width;  ///< of a padded image

  Extents(const View& x, const Shape& w, const Shape& y)
      : images(x.shape[0]),
        channels(x.shape[1]),
        outputs(w[0]),
        taps_h(w[2]),
        taps_w(w[3]),
        out_height(y[2]),
        out_width(y[3]),
        height(y[2] + w[2] - 1),
        width(y[3] + w[3] - 1) {}

  std::int64_t taps() const { return channels * taps_h * taps_w; }
  std::int64_t blocks() const { return (outputs + lanes - 1) / lanes; }
  std::int64_t pairs() const { return (blocks() + pair - 1) / pair; }
  std::int64_t plane() const { return height * width; }
  std::int64_t padded_images() const { return images * channels * plane(); }
  std::int64_t packed_weights() const { return pairs() * pair * taps() * lanes; }
};

/// One row of one channel, widened and padded with zeros.
template <class T>
void pad_row(const T* from, std::int64_t stride, std::int64_t width, std::int64_t before, float* to,
             std::int64_t to_width) {
  const auto first = std::clamp<std::int64_t>(before, 0, to_width);
  const auto last = std::clamp<std::int64_t>(before + width, first, to_width);
  std::fill(to, to + first, 0.0f);
  for (auto w = first; w < last; ++w) to[w] = static_cast<float>(from[(w - before) * stride]);
  std::fill(to + last, to + to_width, 0.0f);
}

/// All images as (N, C, height, width) in f32.
void pad_images(const View& x, const Conv2dParams& p, const Extents& e, float* padded, int threads) {
  dispatch_storage(x.type, [&]<class T>() {
    parallel_for(threads, e.images * e.channels, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        for (std::int64_t row = 0; row < e.height; ++row) {
          const auto h = row - p.pad_top;
          const bool inside = h >= 0 && h < x.shape[2];
          const T* from = x.as<const T>() + i / e.channels * x.strides[0] + i % e.channels * x.strides[1];
          pad_row(from + (inside ? h * x.strides[2] : 0), x.strides[3], inside ? x.shape[3] : 0, p.pad_left,
                  padded + (i * e.height + row) * e.width, e.width);
        }
    });
  });
}

/// Weights (K,C,R,S) as (K / 16, taps, 16) in f32, zero past the last output.
void pack_weights(const View& w, const Extents& e, float* packed) {
  std::fill_n(packed, e.packed_weights(), 0.0f);
  dispatch_storage(w.type, [&]<class T>() {
    for (std::int64_t k = 0; k < e.outputs; ++k)
      for (std::int64_t tap = 0; tap < e.taps(); ++tap)
        packed[(k / lanes * e.taps() + tap) * lanes + k % lanes] =
            static_cast<float>(w.as<const T>()[k * e.taps() + tap]);
  });
}

// ------------------------------------------------------------------------------------------------- forward

constexpr int most_pixels = 14;

/// Where a tile of neighbouring results of one row comes from and goes to.
struct ForwardTile {
  const float* window;   ///< padded image, at the first result's first tap
  const float* weights;  ///< of a pair of blocks
  f32x16 bias[pair];
  std::int64_t first_pixel;
};

template <class T>
using ForwardKernel = void (*)(const Extents&, const ForwardTile&, const Plane<T>*, int blocks,
                               std::int64_t row, const Sink&);

template <class T, Activation kActivation, int kPixels>
void forward_tile(const Extents& e, const ForwardTile& tile, const Plane<T>* planes, int blocks,
                  std::int64_t row, const Sink& sink) {
  f32x16 sums[kPixels][pair];
#pragma GCC unroll 14
  for (int i = 0; i < kPixels; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < pair; ++v) sums[i][v] = tile.bias[v];
  const float* weights = tile.weights;
  const auto block_stride = e.taps() * lanes;
  for (std::int64_t c = 0; c < e.channels; ++c)
    for (std::int64_t r = 0; r < e.taps_h; ++r) {
      const float* from = tile.window + c * e.plane() + r * e.width;
      for (std::int64_t s = 0; s < e.taps_w; ++s, weights += lanes, from = unknown(from + 1)) {
        const f32x16 w[pair] = {load(weights), load(weights + block_stride)};
#pragma GCC unroll 14
        for (int i = 0; i < kPixels; ++i)
#pragma GCC unroll 2
          for (int v = 0; v < pair; ++v) sums[i][v] += w[v] * from[i];
      }
    }
  for (int v = 0; v < blocks; ++v) {
    const mask16 valid = first_lanes(planes[v].channels);
    T* to = planes[v].at(row, tile.first_pixel);
#pragma GCC unroll 14
    for (int i = 0; i < kPixels; ++i, to += planes[v].pixel_stride)
      sink.store(to, select(valid, activated<kActivation>(v == 0 ? sums[i][0] : sums[i][1]), f32x16{}));
  }
}

template <class T, Activation kActivation, int... kPixels>
ForwardKernel<T> forward_kernel(std::int64_t pixels, std::integer_sequence<int, kPixels...>) {
  static constexpr ForwardKernel<T> by_pixels[] = {forward_tile<T, kActivation, kPixels + 1>...};
  return by_pixels[pixels - 1];
}

template <class T, Activation kActivation>
void run_forward(const Conv2dForward& call, Bytes bytes, int threads) {
  const Extents e(call.x, call.w.shape, call.y.shape);
  Workspace workspace(bytes);
  float* const padded = workspace.take<float>(e.padded_images());
  float* const packed = workspace.take<float>(e.packed_weights());
  pad_images(call.x, call.params, e, padded, threads);
  pack_weights(call.w, e, packed);
  const Image<T> y(call.y);
  const Sink sink(call.y);
  // Tiles of equal size, the last one moved back to the end of the row: it repeats some results.
  const auto tiles = (e.out_width + most_pixels - 1) / most_pixels;
  const auto pixels = (e.out_width + tiles - 1) / tiles;
  const auto kernel = forward_kernel<T, kActivation>(pixels, std::make_integer_sequence<int, most_pixels>());
  parallel_for(threads, e.images * e.out_height, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const auto image = i / e.out_height, row = i % e.out_height;
      const float* const window = padded + image * e.channels * e.plane() + row * e.width;
      for (std::int64_t block = 0; block < e.blocks(); block += pair) {
        const auto blocks = static_cast<int>(std::min<std::int64_t>(pair, e.blocks() - block));
        const Plane<T> planes[pair] = {y.plane(image, block), y.plane(image, block + blocks - 1)};
        ForwardTile tile{.weights = packed + block * e.taps() * lanes};
        for (int v = 0; v < blocks; ++v)
          tile.bias[v] = call.b.present()
                             ? load(call.b.as<const float>() + (block + v) * lanes, planes[v].channels)
                             : f32x16{};
        for (std::int64_t t = 0; t < tiles; ++t) {
          tile.first_pixel = std::min(t * pixels, e.out_width - pixels);
          tile.window = window + tile.first_pixel;
          kernel(e, tile, planes, blocks, row, sink);
        }
      }
    }
    sink.finish();
  });
  zero_beyond(call.y, call.y_widths, threads);
}

// ------------------------------------------------------------------------------------- backward by the
// weights

/// Adds the products of one row of dy with window row (c, r) and the kRows - 1 after it to their gradients.
/// dw: (kRows * S, 16) for each of the pair, block_stride apart. dy: rows of vectors, dy_stride apart.
template <int kRows, int kTaps>
void add_row(const float* x, std::int64_t x_width, const float* dy, std::int64_t dy_stride,
             std::int64_t pixels, float* dw, std::int64_t block_stride) {
  f32x16 sums[kRows * kTaps][pair];
#pragma GCC unroll 10
  for (int t = 0; t < kRows * kTaps; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < pair; ++v) sums[t][v] = load(dw + v * block_stride + t * lanes);
  for (std::int64_t q = 0; q < pixels; ++q, x = unknown(x + 1)) {
    const f32x16 g[pair] = {load(dy + q * lanes), load(dy + dy_stride + q * lanes)};
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 7
      for (int s = 0; s < kTaps; ++s)
#pragma GCC unroll 2
        for (int v = 0; v < pair; ++v) sums[r * kTaps + s][v] += g[v] * x[r * x_width + s];
  }
#pragma GCC unroll 10
  for (int t = 0; t < kRows * kTaps; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < pair; ++v) store(dw + v * block_stride + t * lanes, sums[t][v]);
}

/// Window rows of one tile, so that sums, dy and a broadcast fill the registers.
template <int kTaps>
constexpr int tile_rows = kTaps == 3   ? 3
                          : kTaps == 5 ? 2
                                       : 1;

/// All window rows of one channel.
template <int kTaps>
void add_channel(const Extents& e, const float* x, const float* dy, std::int64_t dy_stride, float* dw) {
  const auto block_stride = e.taps() * lanes;
  std::int64_t r = 0;
  for (; r + tile_rows<kTaps> <= e.taps_h; r += tile_rows<kTaps>)
    add_row<tile_rows<kTaps>, kTaps>(x + r * e.width, e.width, dy, dy_stride, e.out_width,
                                     dw + r * kTaps * lanes, block_stride);
  for (; r < e.taps_h; ++r)
    add_row<1, kTaps>(x + r * e.width, e.width, dy, dy_stride, e.out_width, dw + r * kTaps * lanes,
                      block_stride);
}

using AddChannel = void (*)(const Extents&, const float*, const float*, std::int64_t, float*);

AddChannel add_channel_of(std::int64_t taps_w) {
  switch (taps_w) {
    case 3:
      return add_channel<3>;
    case 5:
      return add_channel<5>;
    case 7:
      return add_channel<7>;
    default:
      throw Refused("needs a window 3, 5 or 7 wide, got {}", taps_w);
  }
}

/// What one worker sums, and the row of dy that it has widened.
struct WorkerSums {
  float *dw, *db, *row;

  WorkerSums(const Extents& e, Workspace& workspace)
      : dw(workspace.take<float>(e.packed_weights())),
        db(workspace.take<float>(e.pairs() * pair * lanes)),
        row(workspace.take<float>(pair * e.out_width * lanes)) {}
};

/// Widens one row of a pair of blocks, and adds its values to db. A missing second block is zero.
template <class T>
void widen_row(const Image<T>& dy, const Extents& e, std::int64_t image, std::int64_t row, std::int64_t block,
               const WorkerSums& sums) {
  for (int v = 0; v < pair; ++v) {
    float* const to = sums.row + v * e.out_width * lanes;
    if (block + v >= e.blocks()) {
      std::fill_n(to, e.out_width * lanes, 0.0f);
      continue;
    }
    const Plane<T> plane = dy.plane(image, block + v);
    float* const db = sums.db + (block + v) * lanes;
    f32x16 total = load(db);
    for (std::int64_t q = 0; q < e.out_width; ++q) {
      const f32x16 value = load(plane.at(row, q));
      total += value;
      store(to + q * lanes, value);
    }
    store(db, total);
  }
}

template <class T>
void sum_rows(const Image<T>& dy, const Extents& e, const float* padded, std::int64_t begin, std::int64_t end,
              AddChannel add, const WorkerSums& sums) {
  std::fill_n(sums.dw, e.packed_weights(), 0.0f);
  std::fill_n(sums.db, e.pairs() * pair * lanes, 0.0f);
  for (auto i = begin; i < end; ++i) {
    const auto image = i / e.out_height, row = i % e.out_height;
    const float* const x = padded + image * e.channels * e.plane() + row * e.width;
    for (std::int64_t block = 0; block < e.blocks(); block += pair) {
      widen_row(dy, e, image, row, block, sums);
      for (std::int64_t c = 0; c < e.channels; ++c)
        add(e, x + c * e.plane(), sums.row, e.out_width * lanes,
            sums.dw + (block * e.taps() + c * e.taps_h * e.taps_w) * lanes);
    }
  }
}

/// Adds the workers' sums in their order, and puts them in the places of dw and db.
void store_gradients(const Extents& e, std::span<const WorkerSums> workers,
                     const Conv2dBackwardWeight& call) {
  for (std::int64_t k = 0; k < e.outputs; ++k) {
    for (std::int64_t tap = 0; tap < e.taps(); ++tap) {
      float total = 0;
      for (const auto& sums : workers) total += sums.dw[(k / lanes * e.taps() + tap) * lanes + k % lanes];
      call.dw.as<float>()[k * e.taps() + tap] = total;
    }
    if (!call.db.present()) continue;
    float total = 0;
    for (const auto& sums : workers) total += sums.db[k];
    call.db.as<float>()[k] = total;
  }
}

void run_backward_weight(const Conv2dBackwardWeight& call, Bytes bytes, int threads) {
  const Extents e(call.x, call.dw.shape, call.dy.shape);
  Workspace workspace(bytes);
  float* const padded = workspace.take<float>(e.padded_images());
  std::vector<WorkerSums> workers;
  for (int i = 0; i < threads; ++i) workers.emplace_back(e, workspace);
  pad_images(call.x, call.params, e, padded, threads);
  const auto rows = e.images * e.out_height;
  const auto add = add_channel_of(e.taps_w);
  dispatch_storage(call.dy.type, [&]<class T>() {
    const Image<T> dy(call.dy);
    parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        sum_rows(dy, e, padded, rows * i / threads, rows * (i + 1) / threads, add,
                 workers[static_cast<std::size_t>(i)]);
    });
  });
  store_gradients(e, workers, call);
}

}  // namespace

Plan<Conv2dForward> conv2d_forward_shallow(Conv2dForward& call, const Selection& selection) {
  check_shallow(call.params, call.x.shape, call.w.shape, call.y.shape);
  if (call.activation != Activation::none && call.activation != Activation::relu)
    throw Refused("needs ReLU or no activation, got {}", name_of(call.activation));
  if (call.x.layout) make_plain(call.x, Order::channels_last);
  make_plain(call.w, Order::row_major);
  place_in_channel_blocks(call.y);
  const Extents e(call.x, call.w.shape, call.y.shape);
  Workspace need;
  need.take<float>(e.padded_images());
  need.take<float>(e.packed_weights());
  return {.workspace_bytes = need.bytes(),
          .run = [threads = selection.threads](const Conv2dForward& c, Bytes workspace, Stream) {
            dispatch_storage(c.x.type, [&]<class T>() {
              if (c.activation == Activation::relu)
                run_forward<T, Activation::relu>(c, workspace, threads);
              else
                run_forward<T, Activation::none>(c, workspace, threads);
            });
          }};
}

Plan<Conv2dBackwardWeight> conv2d_backward_weight_shallow(Conv2dBackwardWeight& call,
                                                          const Selection& selection) {
  check_shallow(call.params, call.x.shape, call.dw.shape, call.dy.shape);
  add_channel_of(call.dw.shape[3]);
  if (call.x.layout) make_plain(call.x, Order::channels_last);
  place_in_channel_blocks(call.dy);
  make_plain(call.dw, Order::row_major);
  const Extents e(call.x, call.dw.shape, call.dy.shape);
  Workspace need;
  need.take<float>(e.padded_images());
  for (int i = 0; i < selection.threads; ++i) WorkerSums(e, need);
  return {.workspace_bytes = need.bytes(),
          .run = [threads = selection.threads](const Conv2dBackwardWeight& c, Bytes workspace, Stream) {
            run_backward_weight(c, workspace, threads);
          }};
}

}  // namespace scrawl::cpu
