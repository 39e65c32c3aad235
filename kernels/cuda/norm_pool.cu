/// Batch norm, ReLU and max pooling as one: the normalised image never exists, nor does its gradient. Forward
/// reads x twice (moments, then maxima), or once behind a convolution that left the moments; backward reads
/// it twice, by windows, and writes dx once. Predicted for 2x2 windows of bf16 (f32), in bytes an element of
/// x: 4.75 (9.25) forward, 8.5 (16.5) backward.

#include "kernels/check.h"
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/moments.h"
#include "kernels/cuda/nonlinear.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/pooling.h"
#include "kernels/norm.h"

namespace SCRAWL_CUDA {

namespace {

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void normalised_max_pool(ImageBlocks blocks, Windows windows,
                                                         Statistics statistics, const float* beta, const T* x,
                                                         T* y, Indices argmax) {
  const OwnPixels own(blocks);
  const Normalise<kVector> z(own, statistics, beta);
  pool_maxima<T, kVector>(own, windows, x, y, argmax,
                          [&](int j, float value) { return activated(Activation::relu, z(j, value)); });
}

// ----------------------------------------------------------------------------------------------- backward

/// `blocks` are of windows: the gradient of z is 0 at all but one pixel of each.
template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void sum_window_gradients(ImageBlocks blocks, Windows windows,
                                                          Statistics statistics,
                                                          WindowGradients<T, kVector> gradients, const T* x,
                                                          Partials partials) {
  const OwnPixels own(blocks);
  const auto image = std::int64_t{windows.x_height} * windows.x_widths.all * blocks.channels;
  const Raster raster(own);
  Floats<kVector> center;
#pragma unroll
  for (int j = 0; j < kVector; ++j) center[j] = statistics.mean[own.has_channels ? own.channel + j : 0];
  OwnGradients<kVector> sums;
  for (int i = own.row; i < own.count; i += blocks.rows) {
    const auto [n, p, q] = raster[i];
    const auto in = windows.inside(p, q, windows.x_widths[n]);
    if (q >= windows.y_widths[n] || in.pixels() == 0) continue;
    const auto window = gradients.load(own.offset(i), in.pixels());
    const T* const from = x + n * image + own.channel;
    each_pixel_inside(
        in, windows, blocks.channels, [&](std::int64_t at) { return load_stored<kVector>(from + at); },
        [&](int index, int, std::int64_t, const Stored<T, kVector>& loaded) {
          const auto values = to_floats(loaded);
#pragma unroll
          for (int j = 0; j < kVector; ++j) {
            const float g = gradients.of(window, j, index);
            sums.first[j] += g;
            sums.second[j] = fmaf(g, values[j] - center[j], sums.second[j]);
          }
        });
  }
  leave(own, sums, partials);
}

/// From the gradient of z to that of x.
template <class T, int kVector>
struct StorePixelGradient {
  const T* x;
  T* dx;
  const Differentiate<kVector>& gradient_of;

  using Read = Stored<T, kVector>;
  SCRAWL_DEVICE Read load(std::int64_t at) const { return load_stored<kVector>(x + at); }
  SCRAWL_DEVICE void store(std::int64_t at, const Read& read, const Floats<kVector>& g, bool is_valid) const {
    auto values = to_floats(read);
#pragma unroll
    for (int j = 0; j < kVector; ++j) values[j] = is_valid ? gradient_of(j, values[j], g[j]) : 0;
    store_floats(dx + at, values);
  }
};

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void differentiate_cells(ImageBlocks blocks, Windows windows,
                                                         Statistics statistics, Totals totals,
                                                         WindowGradients<T, kVector> gradients, const T* x,
                                                         T* dx) {
  const OwnPixels own(blocks);
  const Differentiate<kVector> gradient_of(own, statistics, totals);
  unpool_cells(own, windows, gradients, StorePixelGradient<T, kVector>{x, dx, gradient_of});
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void differentiate_pixels(ImageBlocks blocks, Windows windows,
                                                          Statistics statistics, Totals totals,
                                                          WindowGradients<T, kVector> gradients, const T* x,
                                                          T* dx) {
  const OwnPixels own(blocks);
  const Differentiate<kVector> gradient_of(own, statistics, totals);
  unpool_pixels(own, windows, gradients, StorePixelGradient<T, kVector>{x, dx, gradient_of});
}

// ---------------------------------------------------------------------------------------------- launchers

Windows windows_of(const auto& c) { return {c.pool, c.x.shape, c.y.shape, c.x_widths, c.y_widths}; }

/// What is pooled of the image, once its moments are known.
void run_apply(const auto& c, int multiprocessors, Stream stream) {
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks blocks(c.y.shape, kVector, multiprocessors);
        launch({.kernel = "normalised_max_pool",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .stream = stream},
               normalised_max_pool<T, kVector>, blocks, windows_of(c),
               Statistics(c.epsilon, c.mean, c.variance, c.gamma), c.beta.template as<const float>(),
               c.x.template as<const T>(), c.y.template as<T>(), Indices(c.argmax));
      },
      c.x, c.y, c.argmax);
}

void run_backward(const BatchNormPoolBackward& c, Bytes workspace, int multiprocessors, Stream stream) {
  auto* const per_pixel = reinterpret_cast<float*>(workspace.data());
  const Totals totals{
      .dgamma = c.dgamma.as<const float>(), .dbeta = c.dbeta.as<const float>(), .per_pixel = per_pixel};
  const Windows windows = windows_of(c);
  const Statistics statistics(c.epsilon, c.mean, c.variance, c.gamma);
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks each_window(c.y.shape, kVector, multiprocessors);
        const Partials partials(workspace.subspan(sizeof(float)), each_window.parts, c.x.shape[1]);
        const WindowGradients<T, kVector> gradients{.kind = c.pool.kind,
                                                    .dy = c.dy.as<const T>(),
                                                    .y = c.y.as<const T>(),
                                                    .argmax = Indices(c.argmax)};
        launch({.kernel = "sum_window_gradients",
                .blocks = each_window.blocks(),
                .threads = ImageBlocks::threads,
                .shared_bytes = gradients_bytes<kVector>,
                .stream = stream},
               sum_window_gradients<T, kVector>, each_window, windows, statistics, gradients,
               c.x.as<const T>(), partials);
        merge_gradients({.epsilon = c.epsilon,
                         .variance = c.variance,
                         .dgamma = c.dgamma,
                         .dbeta = c.dbeta,
                         .widths = c.x_widths,
                         .pixels = c.x.shape,
                         .per_pixel = per_pixel},
                        partials, stream);
        const bool in_cells = are_cells(c.pool);
        const ImageBlocks blocks(in_cells ? cells_of(c.pool, c.x.shape) : c.x.shape, kVector,
                                 multiprocessors);
        launch({.kernel = in_cells ? "differentiate_cells" : "differentiate_pixels",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .stream = stream},
               in_cells ? differentiate_cells<T, kVector> : differentiate_pixels<T, kVector>, blocks, windows,
               statistics, totals, gradients, c.x.as<const T>(), c.dx.as<T>());
      },
      c.x, c.y, c.dy, c.argmax, c.dx);
}

Plan<BatchNormPoolForward> plan_forward(BatchNormPoolForward& call, const Selection& selection) {
  make_channels_last(call.x, call.y, call.argmax);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.x_widths, call.y_widths);
  return {.workspace_bytes = partial_bytes(call.x, call.x.shape, selection.multiprocessors),
          .run = [multiprocessors = selection.multiprocessors](const BatchNormPoolForward& c, Bytes workspace,
                                                               Stream stream) {
            take_moments(c.x, c.x_widths, c.mean, c.variance, workspace, multiprocessors, stream);
            run_apply(c, multiprocessors, stream);
          }};
}

Plan<BatchNormPoolApply> plan_apply(BatchNormPoolApply& call, const Selection& selection) {
  make_channels_last(call.x, call.y, call.argmax);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.x_widths, call.y_widths);
  return {.run = [multiprocessors = selection.multiprocessors](const BatchNormPoolApply& c, Bytes,
                                                               Stream stream) {
    run_apply(c, multiprocessors, stream);
  }};
}

Plan<BatchNormPoolBackward> plan_backward(BatchNormPoolBackward& call, const Selection& selection) {
  make_channels_last(call.x, call.y, call.dy, call.argmax, call.dx);
  make_row_major(call.gamma, call.mean, call.variance, call.dgamma, call.dbeta, call.x_widths, call.y_widths);
  return {.workspace_bytes = sizeof(float) + partial_bytes(call.x, call.y.shape, selection.multiprocessors),
          .run = [multiprocessors = selection.multiprocessors](const BatchNormPoolBackward& c,
                                                               Bytes workspace, Stream stream) {
            run_backward(c, workspace, multiprocessors, stream);
          }};
}

}  // namespace

Plan<BatchNormPoolForward> batch_norm_pool_forward(BatchNormPoolForward& call, const Selection& selection) {
  static constexpr Variant<BatchNormPoolForward> variants[] = {{"windows", Origin::native, plan_forward}};
  check(call);
  return first_variant<BatchNormPoolForward>("batch_norm_pool_forward", variants, call, selection);
}

Plan<BatchNormPoolApply> batch_norm_pool_apply(BatchNormPoolApply& call, const Selection& selection) {
  static constexpr Variant<BatchNormPoolApply> variants[] = {{"windows", Origin::native, plan_apply}};
  check(call);
  return first_variant<BatchNormPoolApply>("batch_norm_pool_apply", variants, call, selection);
}

Plan<BatchNormPoolBackward> batch_norm_pool_backward(BatchNormPoolBackward& call,
                                                     const Selection& selection) {
  static constexpr Variant<BatchNormPoolBackward> variants[] = {{"windows", Origin::native, plan_backward}};
  check(call);
  return first_variant<BatchNormPoolBackward>("batch_norm_pool_backward", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
