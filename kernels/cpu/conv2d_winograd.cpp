/// 3x3 convolution by Winograd's minimal filtering (winograd.h): tiles of the image are transformed, 36
/// matrix products sum over channels, the results are transformed back, a block of tiles at a time. Images
/// keep their storage type in memory; everything between is f32.
///
/// Against oneDNN 2.6.3, one core of Emerald Rapids, effective GFLOP/s in f32 (its Winograd, its direct):
/// forward a2 340 (305, 170), a3 430 (420, 180), b2 520 (400, 160), b3 490 (440, 155).

#include <algorithm>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/conv2d_variants.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/nonlinear.h"
#include "kernels/cpu/streaming.h"
#include "kernels/cpu/widths.h"
#include "kernels/cpu/winograd.h"

namespace scrawl::cpu {

namespace {

using namespace winograd;

/// Each block reads all transformed weights again, from L3 where they are large: 84 tiles take 0.93 of the
/// time of 56, which take 0.86 of that of 28, for all of cnn62's and crnn's convolutions on Zen 5.
constexpr std::int64_t block_tiles = 6 * product_rows;
constexpr std::int64_t square = lanes * lanes;  ///< values of a 16x16 block of weights

std::int64_t blocks_of(std::int64_t channels) { return (channels + lanes - 1) / lanes; }

/// The 4x4 tiles that cover the results of a batch.
struct TileGrid {
  std::int64_t images, rows, columns;

  explicit TileGrid(const Shape& results)
      : images(results[0]),
        rows((results[2] + result_tile - 1) / result_tile),
        columns((results[3] + result_tile - 1) / result_tile) {}

  std::int64_t count() const { return images * rows * columns; }

  struct Position {
    std::int64_t image, row, column;  ///< of the first result of a tile
  };
  Position at(std::int64_t tile) const {
    return {tile / (rows * columns), tile / columns % rows * result_tile, tile % columns * result_tile};
  }
};

/// Throws Refused where the transforms do not apply, or where direct convolution is faster.
void check_worthwhile(const Conv2dParams& p, const Shape& w, const Shape& results) {
  if (w[2] != taps || w[3] != taps) throw Refused("needs a 3x3 window, got {}x{}", w[2], w[3]);
  if (p.stride_h != 1 || p.stride_w != 1) throw Refused("needs stride 1, got {}x{}", p.stride_h, p.stride_w);
  if (p.dilation_h != 1 || p.dilation_w != 1)
    throw Refused("needs dilation 1, got {}x{}", p.dilation_h, p.dilation_w);
  if (p.groups != 1) throw Refused("needs one group, got {}", p.groups);
  if (w[0] < lanes || w[1] < lanes) throw Refused("needs at least 16 channels, got {} and {}", w[1], w[0]);
  const TileGrid grid(results);
  // The transformed weights are four times larger, and have to be written and read.
  if (grid.count() < 2 * product_rows) throw Refused("needs 28 tiles of 4x4, got {}", grid.count());
  const auto covered = grid.rows * grid.columns * result_tile * result_tile;
  if (covered > 2 * results[2] * results[3])
    throw Refused("needs tiles of 4x4 at least half full, got {}x{}", results[2], results[3]);
}

/// 36 matrices in blocks of 16 columns, one for each product. A cache line between them keeps them out of
/// each other's cache sets.
template <class T>
struct Products {
  T* data;
  std::int64_t rows, blocks;

  std::int64_t stride() const { return rows * blocks * lanes + lanes; }
  std::int64_t count() const { return products * stride(); }
  BlockMatrix<T> operator[](int product) const { return {data + product * stride(), rows * lanes}; }
  T* at(std::int64_t row, std::int64_t block) const { return data + (block * rows + row) * lanes; }
};

/// Transforms the 6x6 tile of an image at (row, column), zero outside of the image, into one row of V.
template <class T>
[[gnu::always_inline]] inline void transform_image(const Plane<T>& plane, std::int64_t height,
                                                   std::int64_t width, std::int64_t row, std::int64_t column,
                                                   float* v, std::int64_t stride) {
  const auto out = [=](int i, int j, f32x16 value) { store(v + (i * image_tile + j) * stride, value); };
  const bool inside = row >= 0 && column >= 0 && row + image_tile <= height && column + image_tile <= width;
  if (inside) {
    const T* const from = plane.at(row, column);
    transform<ImageTransform>(
        [&](int i, int j) { return load(from + i * plane.row_stride + j * plane.pixel_stride); }, out);
    return;
  }
  f32x16 tile[image_tile][image_tile];
  for (int i = 0; i < image_tile; ++i)
    for (int j = 0; j < image_tile; ++j) {
      const auto h = row + i, w = column + j;
      const bool outside = h < 0 || h >= height || w < 0 || w >= width;
      tile[i][j] = outside ? f32x16{} : load(plane.at(h, w));
    }
  transform<ImageTransform>([&](int i, int j) { return tile[i][j]; }, out);
}

// --------------------------------------------------------------------------- forward and backward by the
// data

/// A correlation of `from` with `weights`, summed over its channels: forward, and, with the weights turned
/// around, backward by the data.
struct Filter {
  View from, to, bias, widths;
  Activation activation;
  std::int64_t before_h, before_w;
  /// Weight (output, input, tap) is weights[output * output_stride + input * input_stride + tap], the taps
  /// from the last to the first where turned.
  const float* weights;
  std::int64_t output_stride, input_stride;
  enum class Taps : std::uint8_t { as_given, turned } taps;

  std::int64_t inputs() const { return blocks_of(from.shape[1]); }
  std::int64_t outputs() const { return blocks_of(to.shape[1]); }
  Products<float> transformed_weights(Workspace& workspace) const {
    return made({nullptr, inputs() * lanes, outputs()}, workspace);
  }
  Products<float> image_tiles(Workspace& workspace) const {
    return made({nullptr, block_tiles, inputs()}, workspace);
  }
  Products<float> result_tiles(Workspace& workspace) const {
    return made({nullptr, block_tiles, outputs()}, workspace);
  }

 private:
  static Products<float> made(Products<float> described, Workspace& workspace) {
    described.data = workspace.take<float>(described.count());
    return described;
  }
};

void transform_weights(const Filter& filter, const Products<float>& u, int threads) {
  const auto inputs = filter.from.shape[1], outputs = filter.to.shape[1];
  parallel_for(threads, u.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = begin; block < end; ++block) {
      const auto first = block * lanes;
      const auto present = std::min<std::int64_t>(outputs - first, lanes);
      // Lanes past the last output read the last one again, and are cleared below.
      const i32x16 lane = lane_numbers();
      const i32x16 last = broadcast(static_cast<std::int32_t>(present - 1));
      const mask16 valid = first_lanes(static_cast<int>(present));
      const i32x16 offsets = select(valid, lane, last) * static_cast<std::int32_t>(filter.output_stride);
      for (std::int64_t input = 0; input < u.rows; ++input) {
        const float* const from = filter.weights + first * filter.output_stride + input * filter.input_stride;
        transform<WeightTransform>(
            [&](int r, int s) {
              if (input >= inputs) return f32x16{};
              const int tap = r * taps + s;
              const int at = filter.taps == Filter::Taps::turned ? taps * taps - 1 - tap : tap;
              return select(valid, gather(from + at, offsets), f32x16{});
            },
            [&](int i, int j, f32x16 value) {
              store(u.at(input, block) + (i * image_tile + j) * u.stride(), value);
            });
      }
    }
  });
}

/// Transforms results back and stores those that lie in the image.
template <class T, Activation kActivation>
void store_results(const Filter& filter, const Image<T>& to, const Sink& sink, const TileGrid& grid,
                   std::int64_t first, std::int64_t count, const Products<float>& m) {
  const auto height = to.vectors.height, width = to.vectors.width;
  for (std::int64_t block = 0; block < m.blocks; ++block) {
    const auto channels =
        static_cast<int>(std::min<std::int64_t>(to.vectors.channels - block * lanes, lanes));
    // Added before the ninth is taken: after it, a fused multiply-add would not be exact on integers.
    const f32x16 bias_9 = filter.bias.present()
                              ? 9.0f * load(filter.bias.as<const float>() + block * lanes, channels)
                              : f32x16{};
    const mask16 valid = first_lanes(channels);
    for (std::int64_t tile = 0; tile < count; ++tile) {
      const auto [image, row, column] = grid.at(first + tile);
      const Plane<T> plane = to.plane(image, block);
      T* const at = plane.at(row, column);
      const auto rows = height - row, columns = width - column;
      const float* const from = m.at(tile, block);
      transform<ResultTransform>([&](int i, int j) { return load(from + (i * image_tile + j) * m.stride()); },
                                 [&](int i, int j, f32x16 value) {
                                   if (i >= rows || j >= columns) return;
                                   const f32x16 y = activated<kActivation>((value + bias_9) * ninth);
                                   sink.store(at + i * plane.row_stride + j * plane.pixel_stride,
                                              select(valid, y, f32x16{}));
                                 });
    }
  }
}

template <class T, Activation kActivation>
void run_filter(const Filter& filter, Bytes bytes, int threads) {
  Workspace workspace(bytes);
  const auto u = filter.transformed_weights(workspace);
  transform_weights(filter, u, threads);
  const Image<T> from(filter.from), to(filter.to);
  const Sink sink(filter.to);
  const TileGrid grid(filter.to.shape);
  const auto v_of_first = filter.image_tiles(workspace), m_of_first = filter.result_tiles(workspace);
  const auto worker_stride = v_of_first.count() + m_of_first.count();
  const auto grains = (grid.count() + product_rows - 1) / product_rows;
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto worker = begin; worker < end; ++worker) {
      auto v = v_of_first, m = m_of_first;
      v.data += worker * worker_stride;
      m.data += worker * worker_stride;
      const auto last = std::min(grains * (worker + 1) / threads * product_rows, grid.count());
      for (auto first = grains * worker / threads * product_rows; first < last; first += block_tiles) {
        const auto count = std::min(block_tiles, last - first);
        for (std::int64_t block = 0; block < v.blocks; ++block)
          for (std::int64_t tile = 0; tile < count; ++tile) {
            const auto [image, row, column] = grid.at(first + tile);
            transform_image(from.plane(image, block), from.vectors.height, from.vectors.width,
                            row - filter.before_h, column - filter.before_w, v.at(tile, block), v.stride());
          }
        const auto rows = (count + product_rows - 1) / product_rows * product_rows;
        for (int product = 0; product < products; ++product)
          multiply({v[product].data, v[product].block_stride}, {u[product].data, u[product].block_stride},
                   m[product], rows, v.blocks, m.blocks, Sum::start);
        store_results<T, kActivation>(filter, to, sink, grid, first, count, m);
      }
    }
    sink.finish();
  });
  zero_beyond(filter.to, filter.widths, threads);
}

std::size_t workspace_bytes(const Filter& filter, int threads) {
  Workspace workspace;
  filter.transformed_weights(workspace);
  for (int worker = 0; worker < threads; ++worker) {
    filter.image_tiles(workspace);
    filter.result_tiles(workspace);
  }
  return workspace.bytes();
}

/// Plans a filter whose weights, of type w, may have to be widened first. `filter_of(call)` describes it.
template <class Call, class FilterOf>
Plan<Call> plan_filter(const Call& call, const Selection& selection, FilterOf filter_of) {
  const auto threads = selection.threads;
  Workspace widened;
  if (call.w.type != DType::f32) widened.take<float>(call.w.shape.count());
  return {.workspace_bytes = widened.bytes() + workspace_bytes(filter_of(call), threads),
          .run = [=, offset = widened.bytes()](const Call& c, Bytes bytes, Stream) {
            View w = c.w;
            if (w.type != DType::f32) {
              w.type = DType::f32;
              w.data = bytes.data();
              convert(c.w, w, threads);
            }
            Filter filter = filter_of(c);
            filter.weights = w.as<const float>();
            dispatch_storage(filter.from.type, [&]<class T>() {
              dispatch_kind(filter.activation, [&]<Activation kActivation>() {
                run_filter<T, kActivation>(filter, bytes.subspan(offset), threads);
              });
            });
          }};
}

// ----------------------------------------------------------------------------------- backward by the weights

constexpr std::int64_t gradient_block_tiles = 112;

/// What is summed over tiles: dU = V^T M, with V the transformed image tiles and M those of dy.
struct WeightGradient {
  Products<float> v, m, du;

  WeightGradient(const Conv2dBackwardWeight& call, Workspace& workspace)
      : v{nullptr, gradient_block_tiles, blocks_of(call.x.shape[1])},
        m{nullptr, gradient_block_tiles, blocks_of(call.dy.shape[1])},
        du{nullptr, v.blocks * lanes, m.blocks} {
    for (auto* matrices : {&v, &m, &du}) matrices->data = workspace.take<float>(matrices->count());
  }
};

/// Transforms the 4x4 tile of dy at (row, column), zero outside of the image.
template <class T>
[[gnu::always_inline]] inline void transform_gradient(const Plane<T>& plane, std::int64_t height,
                                                      std::int64_t width, std::int64_t row,
                                                      std::int64_t column, float* m, std::int64_t stride) {
  const T* const from = plane.at(row, column);
  const auto rows = height - row, columns = width - column;
  transform<ResultGradientTransform>(
      [&](int i, int j) {
        const bool outside = i >= rows || j >= columns;
        return outside ? f32x16{} : load(from + i * plane.row_stride + j * plane.pixel_stride);
      },
      [&](int i, int j, f32x16 value) { store(m + (i * image_tile + j) * stride, value); });
}

template <class T>
void transform_tiles(const Conv2dBackwardWeight& call, const TileGrid& grid, std::int64_t first,
                     std::int64_t count, const WeightGradient& g, int threads) {
  const Image<T> x(call.x), dy(call.dy);
  parallel_for(threads, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = 0; block < g.v.blocks; ++block)
      for (auto tile = begin; tile < end; ++tile) {
        const auto [image, row, column] = grid.at(first + tile);
        transform_image(x.plane(image, block), x.vectors.height, x.vectors.width, row - call.params.pad_top,
                        column - call.params.pad_left, g.v.at(tile, block), g.v.stride());
      }
    for (std::int64_t block = 0; block < g.m.blocks; ++block)
      for (auto tile = begin; tile < end; ++tile) {
        const auto [image, row, column] = grid.at(first + tile);
        transform_gradient(dy.plane(image, block), dy.vectors.height, dy.vectors.width, row, column,
                           g.m.at(tile, block), g.m.stride());
      }
  });
}

/// db[k] (+)= sum over tiles of dy. The middle one of the transform's products is the plain sum of a tile.
void add_bias_gradient(const WeightGradient& g, std::int64_t block, std::int64_t tiles, const View& db,
                       Sum sum) {
  const int channels = static_cast<int>(std::min<std::int64_t>(db.shape[0] - block * lanes, lanes));
  float* const to = db.as<float>() + block * lanes;
  f32x16 total = sum == Sum::add ? load(to, channels) : f32x16{};
  constexpr int middle = image_tile + 1;
  const float* const from = g.m[middle].block(block);
  for (std::int64_t tile = 0; tile < tiles; ++tile) total += load(from + tile * lanes);
  store(to, total, channels);
}

void add_products(const WeightGradient& g, std::int64_t tiles, const View& db, Sum sum, int threads) {
  const auto pairs = (g.m.blocks + 1) / 2;
  parallel_for(threads, products * pairs, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto item = begin; item < end; ++item) {
      const auto product = static_cast<int>(item / pairs);
      const auto first = item % pairs * 2, count = std::min<std::int64_t>(2, g.m.blocks - first);
      const auto v = g.v[product], m = g.m[product], du = g.du[product];
      multiply_transposed({v.data, v.block_stride}, {m.block(first), m.block_stride},
                          {du.block(first), du.block_stride}, tiles, g.v.blocks, count, sum);
    }
  });
  if (!db.present()) return;
  parallel_for(threads, g.m.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = begin; block < end; ++block) add_bias_gradient(g, block, tiles, db, sum);
  });
}

void store_weight_gradient(const WeightGradient& g, const View& dw, int threads) {
  const auto outputs = dw.shape[0], inputs = dw.shape[1];
  parallel_for(threads, g.du.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = begin; block < end; ++block) {
      const auto first = block * lanes, count = std::min<std::int64_t>(outputs - first, lanes);
      for (std::int64_t input = 0; input < inputs; ++input) {
        const float* const from = g.du.at(input, block);
        float gradient[taps * taps][lanes];
        transform<WeightGradientTransform>(
            [&](int i, int j) { return load(from + (i * image_tile + j) * g.du.stride()); },
            [&](int r, int s, f32x16 value) { store(gradient[r * taps + s], value * ninth); });
        for (std::int64_t lane = 0; lane < count; ++lane)
          for (int tap = 0; tap < taps * taps; ++tap)
            dw.as<float>()[((first + lane) * inputs + input) * taps * taps + tap] = gradient[tap][lane];
      }
    }
  });
}

}  // namespace

Plan<Conv2dForward> conv2d_forward_winograd(Conv2dForward& call, const Selection& selection) {
  check_worthwhile(call.params, call.w.shape, call.y.shape);
  place_in_channel_blocks(call.x);
  place_in_channel_blocks(call.y);
  make_plain(call.w, Order::row_major);
  return plan_filter(call, selection, [](const Conv2dForward& c) {
    return Filter{.from = c.x,
                  .to = c.y,
                  .bias = c.b,
                  .widths = c.y_widths,
                  .activation = c.activation,
                  .before_h = c.params.pad_top,
                  .before_w = c.params.pad_left,
                  .output_stride = c.w.shape[1] * taps * taps,
                  .input_stride = taps * taps,
                  .taps = Filter::Taps::as_given};
  });
}

Plan<Conv2dBackwardData> conv2d_backward_data_winograd(Conv2dBackwardData& call, const Selection& selection) {
  check_worthwhile(call.params, call.w.shape, call.dx.shape);
  place_in_channel_blocks(call.dy);
  place_in_channel_blocks(call.dx);
  make_plain(call.w, Order::row_major);
  return plan_filter(call, selection, [](const Conv2dBackwardData& c) {
    return Filter{.from = c.dy,
                  .to = c.dx,
                  .widths = c.x_widths,
                  .activation = Activation::none,
                  .before_h = taps - 1 - c.params.pad_top,
                  .before_w = taps - 1 - c.params.pad_left,
                  .output_stride = taps * taps,
                  .input_stride = c.w.shape[1] * taps * taps,
                  .taps = Filter::Taps::turned};
  });
}

Plan<Conv2dBackwardWeight> conv2d_backward_weight_winograd(Conv2dBackwardWeight& call,
                                                           const Selection& selection) {
  check_worthwhile(call.params, call.dw.shape, call.dy.shape);
  place_in_channel_blocks(call.x);
  place_in_channel_blocks(call.dy);
  make_plain(call.dw, Order::row_major);
  Workspace need;
  WeightGradient(call, need);
  return {.workspace_bytes = need.bytes(),
          .run = [threads = selection.threads](const Conv2dBackwardWeight& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const WeightGradient gradient(c, workspace);
            const TileGrid grid(c.dy.shape);
            for (std::int64_t first = 0; first < grid.count(); first += gradient_block_tiles) {
              const auto count = std::min(gradient_block_tiles, grid.count() - first);
              dispatch_storage(
                  c.x.type, [&]<class T>() { transform_tiles<T>(c, grid, first, count, gradient, threads); });
              add_products(gradient, count, c.db, first == 0 ? Sum::start : Sum::add, threads);
            }
            store_weight_gradient(gradient, c.dw, threads);
          }};
}

}  // namespace scrawl::cpu
