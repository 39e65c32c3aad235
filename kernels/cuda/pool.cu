/// Pooling, bound by memory: a lane has a vector of channels of a window, and loads four pixels at a time.
/// Backward writes every pixel once, from the window it lies in, or from those over it: no atomics, nothing
/// to clear. Predicted for 2x2 maxima of bf16 (f32), in bytes an element of x: 2.75 (5.25) forward, 2.75
/// (5.25) backward.

#include "kernels/pool.h"

#include "kernels/check.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/pooling.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads, 3) void max_pool(ImageBlocks blocks, Windows windows,
                                                                    const T* x, T* y, Indices argmax) {
  pool_maxima<T, kVector>(OwnPixels(blocks), windows, x, y, argmax, [](int, float value) { return value; });
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads, 3) void average_pool(ImageBlocks blocks, Windows windows,
                                                                        const T* x, T* y) {
  const OwnPixels own(blocks);
  const auto image = std::int64_t{windows.x_height} * windows.x_widths.all * blocks.channels;
  const Raster raster(own);
  for (int i = own.row; i < own.count; i += blocks.rows) {
    const auto [n, p, q] = raster[i];
    const T* const from = x + n * image + own.channel;
    auto in = windows.inside(p, q, windows.x_widths[n]);
    if (q >= windows.y_widths[n]) in.rows = 0;
    Floats<kVector> sum{};
    each_pixel_inside(
        in, windows, blocks.channels, [&](std::int64_t at) { return load_stored<kVector>(from + at); },
        [&](int, int, std::int64_t, const Stored<T, kVector>& loaded) {
          const auto values = to_floats(loaded);
#pragma unroll
          for (int j = 0; j < kVector; ++j) sum[j] += values[j];
        });
    const float share = in.pixels() > 0 ? 1 / static_cast<float>(in.pixels()) : 0;
#pragma unroll
    for (int j = 0; j < kVector; ++j) sum[j] *= share;
    store_floats(y + own.offset(i), sum);
  }
}

// ----------------------------------------------------------------------------------------------- backward

template <class T, int kVector>
struct StoreGradient {
  T* dx;

  struct Read {};
  SCRAWL_DEVICE Read load(std::int64_t) const { return {}; }
  SCRAWL_DEVICE void store(std::int64_t at, Read, const Floats<kVector>& gradient, bool) const {
    store_floats(dx + at, gradient);
  }
};

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             3) void pool_backward_cells(ImageBlocks blocks, Windows windows,
                                                         WindowGradients<T, kVector> gradients, T* dx) {
  unpool_cells(OwnPixels(blocks), windows, gradients, StoreGradient<T, kVector>{dx});
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             3) void pool_backward_pixels(ImageBlocks blocks, Windows windows,
                                                          WindowGradients<T, kVector> gradients, T* dx) {
  unpool_pixels(OwnPixels(blocks), windows, gradients, StoreGradient<T, kVector>{dx});
}

// ------------------------------------------------------------------------------------------------- widths

struct Samples {
  static constexpr int threads = 256;
};

struct Through {
  std::int64_t extent, stride, padding, width;
};

SCRAWL_KERNEL SCRAWL_THREADS(Samples::threads) void widths_through(Through window, const std::int32_t* widths,
                                                                   std::int32_t* out, std::int64_t samples) {
  const auto n = std::int64_t{block_index().x} * Samples::threads + thread_index();
  if (n >= samples) return;
  const auto room = widths[n] + window.padding - window.extent;
  const auto windows = room < 0 ? 1 : room / window.stride + 1;
  out[n] = widths[n] <= 0 ? 0 : static_cast<std::int32_t>(windows < window.width ? windows : window.width);
}

// ---------------------------------------------------------------------------------------------- launchers

void run_forward(const PoolForward& c, int multiprocessors, Stream stream) {
  const Windows windows(c.params, c.x.shape, c.y.shape, c.x_widths, c.y_widths);
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks blocks(c.y.shape, kVector, multiprocessors);
        Launch l{.kernel = "max_pool",
                 .blocks = blocks.blocks(),
                 .threads = ImageBlocks::threads,
                 .stream = stream};
        if (c.params.kind == PoolKind::max) {
          launch(l, max_pool<T, kVector>, blocks, windows, c.x.as<const T>(), c.y.as<T>(), Indices(c.argmax));
        } else {
          l.kernel = "average_pool";
          launch(l, average_pool<T, kVector>, blocks, windows, c.x.as<const T>(), c.y.as<T>());
        }
      },
      c.x, c.y, c.argmax);
}

void run_backward(const PoolBackward& c, int multiprocessors, Stream stream) {
  const Windows windows(c.params, c.dx.shape, c.dy.shape, c.x_widths, c.y_widths);
  dispatch_channels(
      [&]<class T, int kVector>() {
        const bool in_cells = are_cells(c.params);
        const ImageBlocks blocks(in_cells ? cells_of(c.params, c.dx.shape) : c.dx.shape, kVector,
                                 multiprocessors);
        const WindowGradients<T, kVector> gradients{
            .kind = c.params.kind, .dy = c.dy.as<const T>(), .y = nullptr, .argmax = Indices(c.argmax)};
        launch({.kernel = in_cells ? "pool_backward_cells" : "pool_backward_pixels",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .stream = stream},
               in_cells ? pool_backward_cells<T, kVector> : pool_backward_pixels<T, kVector>, blocks, windows,
               gradients, c.dx.as<T>());
      },
      c.dy, c.dx, c.argmax);
}

Plan<PoolForward> plan_forward(PoolForward& call, const Selection& selection) {
  make_channels_last(call.x, call.y, call.argmax);
  make_row_major(call.x_widths, call.y_widths);
  return {.run = [multiprocessors = selection.multiprocessors](const PoolForward& c, Bytes, Stream stream) {
    run_forward(c, multiprocessors, stream);
  }};
}

Plan<PoolBackward> plan_backward(PoolBackward& call, const Selection& selection) {
  make_channels_last(call.dy, call.argmax, call.dx);
  make_row_major(call.x_widths, call.y_widths);
  return {.run = [multiprocessors = selection.multiprocessors](const PoolBackward& c, Bytes, Stream stream) {
    run_backward(c, multiprocessors, stream);
  }};
}

Plan<WindowWidths> plan_widths(WindowWidths& call, const Selection&) {
  make_row_major(call.widths, call.out);
  return {.run = [](const WindowWidths& c, Bytes, Stream stream) {
    const auto samples = c.widths.shape[0];
    const Through window{
        .extent = c.extent, .stride = c.stride, .padding = c.pad_left + c.pad_right, .width = c.width};
    launch({.kernel = "window_widths",
            .blocks = {blocks_for(samples, Samples::threads)},
            .threads = Samples::threads,
            .stream = stream},
           widths_through, window, c.widths.as<const std::int32_t>(), c.out.as<std::int32_t>(), samples);
  }};
}

}  // namespace

Plan<PoolForward> pool_forward(PoolForward& call, const Selection& selection) {
  static constexpr Variant<PoolForward> variants[] = {{"windows", Origin::native, plan_forward}};
  check(call);
  return first_variant_or_vendor<PoolForward>("pool_forward", variants, call, selection);
}

Plan<PoolBackward> pool_backward(PoolBackward& call, const Selection& selection) {
  static constexpr Variant<PoolBackward> variants[] = {{"windows", Origin::native, plan_backward}};
  check(call);
  return first_variant_or_vendor<PoolBackward>("pool_backward", variants, call, selection);
}

Plan<WindowWidths> window_widths(WindowWidths& call, const Selection& selection) {
  static constexpr Variant<WindowWidths> variants[] = {{"samples", Origin::native, plan_widths}};
  check(call);
  return first_variant<WindowWidths>("window_widths", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
