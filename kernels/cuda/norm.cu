/// Batch norm: a pass for the moments (moments.cu), then one that normalises; backward a pass for the sums of
/// gradients, then one for dx. All are bound by memory: forward moves three elements for each of x, backward
/// five. Predicted, in bytes an element of bf16 (f32): forward 6 (12), inference 4 (8), backward 10 (20).

#include "kernels/norm.h"

#include "kernels/check.h"
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/moments.h"
#include "kernels/cuda/nonlinear.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/vendor/variants.h"
#include "kernels/optimizer.h"

namespace SCRAWL_CUDA {

namespace {

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             3) void normalise(ImageBlocks blocks, Widths widths, Statistics statistics,
                                               const float* beta, Activation activation, const T* x, T* y) {
  const OwnPixels own(blocks);
  const Validity valid(own, widths);
  const Normalise<kVector> z(own, statistics, beta);
  const auto load = [&](int i) { return load_valid<kVector>(x, own, valid, i); };
  each_pixel<pixels_in_flight<kVector>>(own, load, [&](int i, const Loaded<Stored<T, kVector>>& pixel) {
    Floats<kVector> values{};
    if (pixel.is_valid) {
      values = to_floats(pixel.operands);
#pragma unroll
      for (int j = 0; j < kVector; ++j) values[j] = activated(activation, z(j, values[j]));
    }
    store_floats(y + own.offset(i), values);
  });
}

// ----------------------------------------------------------------------------------------------- backward

/// What both passes read of a pixel: two operands are half as many pixels at once.
template <class T, int kVector>
struct PixelGradients {
  static constexpr int in_flight = pixels_in_flight<kVector> / 2;
  const T *x, *dy;
  Activation activation;

  struct Operands {
    Stored<T, kVector> x, dy;
  };
  using Read = Loaded<Operands>;
  SCRAWL_DEVICE Read load(const OwnPixels& own, const Validity& valid, int i) const {
    Read pixel;
    pixel.is_valid = valid[i];
    if (pixel.is_valid)
      pixel.operands = {load_stored<kVector>(x + own.offset(i)), load_stored<kVector>(dy + own.offset(i))};
    return pixel;
  }
  /// dy as far as ReLU lets it through.
  SCRAWL_DEVICE float gradient(const Normalise<kVector>& z, int j, float pixel, float dz) const {
    return activation == Activation::none ? dz : activation_gradient(Activation::relu, z(j, pixel), dz);
  }
};

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void sum_gradients(ImageBlocks blocks, Widths widths, Statistics statistics,
                                                   const float* beta, PixelGradients<T, kVector> of,
                                                   Partials partials) {
  using Read = typename PixelGradients<T, kVector>::Read;
  const OwnPixels own(blocks);
  const Validity valid(own, widths);
  const Normalise<kVector> z(own, statistics, beta);
  OwnGradients<kVector> sums;
  const auto load = [&](int i) { return of.load(own, valid, i); };
  each_pixel<PixelGradients<T, kVector>::in_flight>(own, load, [&](int, const Read& pixel) {
    if (!pixel.is_valid) return;
    const auto values = to_floats(pixel.operands.x), dy = to_floats(pixel.operands.dy);
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      const float g = of.gradient(z, j, values[j], dy[j]);
      sums.first[j] += g;
      sums.second[j] = fmaf(g, values[j] - z.center[j], sums.second[j]);
    }
  });
  leave(own, sums, partials);
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads,
                             2) void differentiate(ImageBlocks blocks, Widths widths, Statistics statistics,
                                                   const float* beta, Totals totals,
                                                   PixelGradients<T, kVector> of, T* dx) {
  using Read = typename PixelGradients<T, kVector>::Read;
  const OwnPixels own(blocks);
  const Validity valid(own, widths);
  const Normalise<kVector> z(own, statistics, beta);
  const Differentiate<kVector> gradient_of(own, statistics, totals);
  const auto load = [&](int i) { return of.load(own, valid, i); };
  each_pixel<PixelGradients<T, kVector>::in_flight>(own, load, [&](int i, const Read& pixel) {
    Floats<kVector> gradients{};
    if (pixel.is_valid) {
      const auto values = to_floats(pixel.operands.x);
      gradients = to_floats(pixel.operands.dy);
#pragma unroll
      for (int j = 0; j < kVector; ++j)
        gradients[j] = gradient_of(j, values[j], of.gradient(z, j, values[j], gradients[j]));
    }
    store_floats(dx + own.offset(i), gradients);
  });
}

// ------------------------------------------------------------------------------------------- per channel

struct Channels {
  static constexpr int threads = 256;
};

/// M is `pixels`, or, where widths are given, `height` times their sum.
SCRAWL_KERNEL SCRAWL_THREADS(Channels::threads) void update_running(
    RunningUpdate::Moment moment, float momentum, double pixels, double height, Widths widths,
    std::int64_t images, const float* value, float* running, std::int64_t channels, const float* control) {
  if (control[Control::skip] != 0) return;
  if (widths.each) pixels = height * valid_columns(widths, images, shared_memory<PerWarp<double>>());
  const auto channel = std::int64_t{block_index().x} * Channels::threads + thread_index();
  if (channel >= channels) return;
  // One pixel has no variance to correct: it is 0.
  const double correction = moment == RunningUpdate::Moment::variance ? pixels / fmax(pixels - 1, 1.0) : 1;
  running[channel] =
      static_cast<float>((1.0 - momentum) * running[channel] + momentum * correction * value[channel]);
}

struct Folded {
  float epsilon;
  const float *w, *b, *gamma, *beta, *mean, *variance;
  float *folded_w, *folded_b;
};

SCRAWL_KERNEL SCRAWL_THREADS(Channels::threads) void fold(Folded of, std::int64_t row) {
  const auto k = std::int64_t{block_index().x};
  const double scale = of.gamma[k] / sqrt(static_cast<double>(of.variance[k]) + of.epsilon);
  for (std::int64_t i = thread_index(); i < row; i += Channels::threads)
    of.folded_w[k * row + i] = static_cast<float>(of.w[k * row + i] * scale);
  if (thread_index() != 0) return;
  const double bias = of.b ? of.b[k] : 0;
  of.folded_b[k] = static_cast<float>(of.beta[k] + (bias - of.mean[k]) * scale);
}

// ---------------------------------------------------------------------------------------------- launchers

/// y from x and statistics, wherever these are from.
template <class Call>
void normalise_by_statistics(const Call& c, int multiprocessors, Stream stream) {
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks blocks(c.x.shape, kVector, multiprocessors);
        launch({.kernel = "normalise",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .stream = stream},
               normalise<T, kVector>, blocks, Widths(c.widths, c.x.shape[3]),
               Statistics(c.epsilon, c.mean, c.variance, c.gamma), c.beta.template as<const float>(),
               c.activation, c.x.template as<const T>(), c.y.template as<T>());
      },
      c.x, c.y);
}

void run_backward(const BatchNormBackward& c, Bytes workspace, int multiprocessors, Stream stream) {
  const Totals totals{.dgamma = c.dgamma.as<const float>(),
                      .dbeta = c.dbeta.as<const float>(),
                      .per_pixel = reinterpret_cast<const float*>(workspace.data())};
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks blocks(c.x.shape, kVector, multiprocessors);
        const Partials partials(workspace.subspan(sizeof(float)), blocks.parts, c.x.shape[1]);
        const Widths widths(c.widths, c.x.shape[3]);
        const Statistics statistics(c.epsilon, c.mean, c.variance, c.gamma);
        const PixelGradients<T, kVector> gradients{
            .x = c.x.as<const T>(), .dy = c.dy.as<const T>(), .activation = c.activation};
        launch({.kernel = "sum_gradients",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .shared_bytes = gradients_bytes<kVector>,
                .stream = stream},
               sum_gradients<T, kVector>, blocks, widths, statistics, c.beta.as<const float>(), gradients,
               partials);
        merge_gradients({.epsilon = c.epsilon,
                         .variance = c.variance,
                         .dgamma = c.dgamma,
                         .dbeta = c.dbeta,
                         .widths = c.widths,
                         .pixels = c.x.shape,
                         .per_pixel = reinterpret_cast<float*>(workspace.data())},
                        partials, stream);
        launch({.kernel = "differentiate",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .stream = stream},
               differentiate<T, kVector>, blocks, widths, statistics, c.beta.as<const float>(), totals,
               gradients, c.dx.as<T>());
      },
      c.x, c.dy, c.dx);
}

Plan<BatchNormForward> plan_forward(BatchNormForward& call, const Selection& selection) {
  make_channels_last(call.x, call.y);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.widths);
  return {.workspace_bytes = partial_bytes(call.x, call.x.shape, selection.multiprocessors),
          .run = [multiprocessors = selection.multiprocessors](const BatchNormForward& c, Bytes workspace,
                                                               Stream stream) {
            take_moments(c.x, c.widths, c.mean, c.variance, workspace, multiprocessors, stream);
            normalise_by_statistics(c, multiprocessors, stream);
          }};
}

Plan<BatchNormInference> plan_inference(BatchNormInference& call, const Selection& selection) {
  make_channels_last(call.x, call.y);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.widths);
  return {.run = [multiprocessors = selection.multiprocessors](const BatchNormInference& c, Bytes,
                                                               Stream stream) {
    normalise_by_statistics(c, multiprocessors, stream);
  }};
}

Plan<BatchNormBackward> plan_backward(BatchNormBackward& call, const Selection& selection) {
  make_channels_last(call.x, call.dy, call.dx);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.dgamma, call.dbeta, call.widths);
  return {.workspace_bytes = sizeof(float) + partial_bytes(call.x, call.x.shape, selection.multiprocessors),
          .run = [multiprocessors = selection.multiprocessors](const BatchNormBackward& c, Bytes workspace,
                                                               Stream stream) {
            run_backward(c, workspace, multiprocessors, stream);
          }};
}

Plan<RunningUpdate> plan_running(RunningUpdate& call, const Selection&) {
  make_row_major(call.running, call.value, call.widths, call.control);
  return {.run = [](const RunningUpdate& c, Bytes, Stream stream) {
    const auto channels = c.running.shape[0], images = c.widths.present() ? c.widths.shape[0] : 0;
    const auto width = c.count > 0 && images > 0 ? c.count / (c.height * images) : 0;
    launch({.kernel = "update_running",
            .blocks = {blocks_for(channels, Channels::threads)},
            .threads = Channels::threads,
            .shared_bytes = shared_size<PerWarp<double>, 256>,
            .stream = stream},
           update_running, c.moment, c.momentum, static_cast<double>(c.count), static_cast<double>(c.height),
           Widths(c.widths, width), images, c.value.as<const float>(), c.running.as<float>(), channels,
           c.control.as<const float>());
  }};
}

Plan<FoldBatchNorm> plan_fold(FoldBatchNorm& call, const Selection&) {
  make_row_major(call.w, call.b, call.gamma, call.beta, call.mean, call.variance, call.folded_w,
                 call.folded_b);
  return {.run = [](const FoldBatchNorm& c, Bytes, Stream stream) {
    const auto outputs = c.w.shape[0];
    const Folded folded{.epsilon = c.epsilon,
                        .w = c.w.as<const float>(),
                        .b = c.b.as<const float>(),
                        .gamma = c.gamma.as<const float>(),
                        .beta = c.beta.as<const float>(),
                        .mean = c.mean.as<const float>(),
                        .variance = c.variance.as<const float>(),
                        .folded_w = c.folded_w.as<float>(),
                        .folded_b = c.folded_b.as<float>()};
    launch({.kernel = "fold_batch_norm",
            .blocks = {blocks_for(outputs, 1)},
            .threads = Channels::threads,
            .stream = stream},
           fold, folded, outputs == 0 ? 0 : c.w.shape.count() / outputs);
  }};
}

}  // namespace

Plan<BatchNormForward> batch_norm_forward(BatchNormForward& call, const Selection& selection) {
  static constexpr Variant<BatchNormForward> variants[] = {{"stretches", Origin::native, plan_forward}};
  check(call);
  return first_variant_or_vendor<BatchNormForward>("batch_norm_forward", variants, call, selection);
}

Plan<BatchNormInference> batch_norm_inference(BatchNormInference& call, const Selection& selection) {
  static constexpr Variant<BatchNormInference> variants[] = {{"stretches", Origin::native, plan_inference}};
  check(call);
  return first_variant_or_vendor<BatchNormInference>("batch_norm_inference", variants, call, selection);
}

Plan<BatchNormBackward> batch_norm_backward(BatchNormBackward& call, const Selection& selection) {
  static constexpr Variant<BatchNormBackward> variants[] = {{"stretches", Origin::native, plan_backward}};
  check(call);
  return first_variant_or_vendor<BatchNormBackward>("batch_norm_backward", variants, call, selection);
}

Plan<RunningUpdate> running_update(RunningUpdate& call, const Selection& selection) {
  static constexpr Variant<RunningUpdate> variants[] = {{"channels", Origin::native, plan_running}};
  check(call);
  return first_variant<RunningUpdate>("running_update", variants, call, selection);
}

Plan<FoldBatchNorm> fold_batch_norm(FoldBatchNorm& call, const Selection& selection) {
  static constexpr Variant<FoldBatchNorm> variants[] = {{"rows", Origin::native, plan_fold}};
  check(call);
  return first_variant<FoldBatchNorm>("fold_batch_norm", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
