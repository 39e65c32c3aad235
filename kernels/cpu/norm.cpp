/// Batch norm: a pass for the moments, then one that writes; backward likewise.

#include "kernels/norm.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/norm_variants.h"
#include "kernels/cpu/planners.h"
#include "kernels/optimizer.h"

namespace scrawl::cpu {
namespace {

template <class T>
void normalise(const View& x_view, const View& y_view, const View& widths, Activation activation,
               const ChannelAffines& affines, int threads) {
  const Image<T> x(x_view), y(y_view);
  each_row(threads, x.vectors, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
    const Plane<T> from = x.plane(n, block), to = y.plane(n, block);
    const ChannelAffine affine = affines[block];
    const auto width = valid_width(widths, n, x.vectors.width);
    if (activation == Activation::relu)
      for (std::int64_t w = 0; w < width; ++w) to.store(h, w, max(f32x16{}, affine(from.load(h, w))));
    else
      for (std::int64_t w = 0; w < width; ++w) to.store(h, w, affine(from.load(h, w)));
    to.zero(h, width, x.vectors.width);
  });
}

/// The gradient of z, 0 where ReLU stopped it.
template <Activation kActivation>
[[gnu::always_inline]] inline f32x16 before_activation(const ChannelAffine& z, f32x16 x, f32x16 dy) {
  if constexpr (kActivation == Activation::relu) return select(less_equal(z(x), f32x16{}), f32x16{}, dy);
  return dy;
}

struct UnfusedScratch : BackwardScratch {
  ChannelAffines forward;

  UnfusedScratch(Workspace& workspace, const Shape& x)
      : BackwardScratch(workspace, x), forward(workspace, x[1]) {}
};

template <class T, Activation kActivation>
void backward(const BatchNormBackward& call, const UnfusedScratch& scratch, int threads) {
  normalise_by(call.gamma, call.beta, call.epsilon, call.mean, call.variance, scratch.forward);
  const Image<T> x(call.x), dy(call.dy), dx(call.dx);
  sum_gradients(x.vectors, scratch.sums, threads, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
    const Plane<T> pixels = x.plane(n, block), from = dy.plane(n, block);
    const ChannelAffine z = scratch.forward[block];
    const auto width = valid_width(call.widths, n, x.vectors.width);
    f32x16 g_sum{}, gx_sum{};
    for (std::int64_t w = 0; w < width; ++w) {
      const f32x16 pixel = pixels.load(h, w), g = before_activation<kActivation>(z, pixel, from.load(h, w));
      g_sum += g;
      gx_sum += g * (pixel - z.center);
    }
    return std::pair(g_sum, gx_sum);
  });
  finish_sums(call, call.widths, scratch);
  each_row(threads, x.vectors, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
    const Plane<T> pixels = x.plane(n, block), from = dy.plane(n, block), to = dx.plane(n, block);
    const ChannelAffine z = scratch.forward[block], affine = scratch.affine[block];
    const f32x16 gain = load(scratch.gain + block * lanes);
    const auto width = valid_width(call.widths, n, x.vectors.width);
    for (std::int64_t w = 0; w < width; ++w) {
      const f32x16 pixel = pixels.load(h, w), g = before_activation<kActivation>(z, pixel, from.load(h, w));
      to.store(h, w, gain * (g + affine(pixel)));
    }
    to.zero(h, width, x.vectors.width);
  });
}

Plan<BatchNormForward> plan_forward(BatchNormForward& call, const Selection& selection) {
  make_readable(call.x);
  place_as(call.y, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.widths);
  return {.workspace_bytes = scratch_bytes<ForwardScratch>(call.x.shape),
          .run = [threads = selection.threads](const BatchNormForward& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const ForwardScratch scratch(workspace, c.x.shape);
            normalise_by_moments(c.x, c.widths, c.gamma, c.beta, c.epsilon, c.mean, c.variance, scratch,
                                 threads);
            dispatch_storage(c.x.type, [&]<class T>() {
              normalise<T>(c.x, c.y, c.widths, c.activation, scratch.affine, threads);
            });
          }};
}

Plan<BatchNormInference> plan_inference(BatchNormInference& call, const Selection& selection) {
  make_readable(call.x);
  place_as(call.y, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.widths);
  Workspace counted;
  ChannelAffines(counted, call.x.shape[1]);
  return {.workspace_bytes = counted.bytes(),
          .run = [threads = selection.threads](const BatchNormInference& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const ChannelAffines affine(workspace, c.x.shape[1]);
            normalise_by(c.gamma, c.beta, c.epsilon, c.mean, c.variance, affine);
            dispatch_storage(c.x.type, [&]<class T>() {
              normalise<T>(c.x, c.y, c.widths, c.activation, affine, threads);
            });
          }};
}

Plan<BatchNormBackward> plan_backward(BatchNormBackward& call, const Selection& selection) {
  make_readable(call.x);
  make_readable(call.dy);
  place_as(call.dx, call.dy);  // which dx may alias
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.dgamma, call.dbeta, call.widths);
  return {.workspace_bytes = scratch_bytes<UnfusedScratch>(call.x.shape),
          .run = [threads = selection.threads](const BatchNormBackward& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const UnfusedScratch scratch(workspace, c.x.shape);
            dispatch_storage(c.x.type, [&]<class T>() {
              if (c.activation == Activation::relu)
                backward<T, Activation::relu>(c, scratch, threads);
              else
                backward<T, Activation::none>(c, scratch, threads);
            });
          }};
}

void update_running(const RunningUpdate& call) {
  if (call.control.as<const float>()[Control::skip] != 0) return;
  double pixels = static_cast<double>(call.count);
  if (call.widths.present()) {
    const auto images = call.widths.shape[0];
    const auto width = call.count > 0 ? call.count / (call.height * images) : 0;
    std::int64_t columns = 0;
    for (std::int64_t n = 0; n < images; ++n) columns += valid_width(call.widths, n, width);
    pixels = static_cast<double>(call.height * columns);
  }
  // One pixel has no variance to correct: it is 0.
  const double correction =
      call.moment == RunningUpdate::Moment::variance ? pixels / std::max(pixels - 1, 1.0) : 1;
  const double keep = 1.0 - call.momentum, take = call.momentum * correction;
  auto* const running = call.running.as<float>();
  const auto* const value = call.value.as<const float>();
  for (std::int64_t c = 0; c < call.running.shape[0]; ++c)
    running[c] = static_cast<float>(keep * running[c] + take * value[c]);
}

void fold(const FoldBatchNorm& call) {
  const auto outputs = call.w.shape[0], row = outputs == 0 ? 0 : call.w.shape.count() / outputs;
  const auto vector = [](const View& view) { return view.as<float>(); };
  for (std::int64_t k = 0; k < outputs; ++k) {
    const double scale =
        vector(call.gamma)[k] / std::sqrt(static_cast<double>(vector(call.variance)[k]) + call.epsilon);
    const double bias = call.b.present() ? vector(call.b)[k] : 0;
    for (auto i = k * row; i < (k + 1) * row; ++i)
      vector(call.folded_w)[i] = static_cast<float>(vector(call.w)[i] * scale);
    vector(call.folded_b)[k] =
        static_cast<float>(vector(call.beta)[k] + (bias - vector(call.mean)[k]) * scale);
  }
}

Plan<RunningUpdate> plan_running(RunningUpdate& call, const Selection&) {
  make_row_major(call.running, call.value, call.widths, call.control);
  return {.run = [](const RunningUpdate& c, Bytes, Stream) { update_running(c); }};
}

Plan<FoldBatchNorm> plan_fold(FoldBatchNorm& call, const Selection&) {
  make_row_major(call.w, call.b, call.gamma, call.beta, call.mean, call.variance, call.folded_w,
                 call.folded_b);
  return {.run = [](const FoldBatchNorm& c, Bytes, Stream) { fold(c); }};
}

}  // namespace

Plan<BatchNormForward> batch_norm_forward(BatchNormForward& call, const Selection& selection) {
  static constexpr Variant<BatchNormForward> variants[] = {
      {"channel_vectors", Origin::native, plan_forward},
      {"onednn", Origin::vendor, batch_norm_forward_onednn}};
  check(call);
  return first_variant<BatchNormForward>("batch_norm_forward", variants, call, selection);
}

Plan<BatchNormInference> batch_norm_inference(BatchNormInference& call, const Selection& selection) {
  static constexpr Variant<BatchNormInference> variants[] = {
      {"channel_vectors", Origin::native, plan_inference},
      {"onednn", Origin::vendor, batch_norm_inference_onednn}};
  check(call);
  return first_variant<BatchNormInference>("batch_norm_inference", variants, call, selection);
}

Plan<BatchNormBackward> batch_norm_backward(BatchNormBackward& call, const Selection& selection) {
  static constexpr Variant<BatchNormBackward> variants[] = {
      {"channel_vectors", Origin::native, plan_backward},
      {"onednn", Origin::vendor, batch_norm_backward_onednn}};
  check(call);
  return first_variant<BatchNormBackward>("batch_norm_backward", variants, call, selection);
}

Plan<RunningUpdate> running_update(RunningUpdate& call, const Selection& selection) {
  static constexpr Variant<RunningUpdate> variants[] = {{"loop", Origin::native, plan_running}};
  check(call);
  return first_variant<RunningUpdate>("running_update", variants, call, selection);
}

Plan<FoldBatchNorm> fold_batch_norm(FoldBatchNorm& call, const Selection& selection) {
  static constexpr Variant<FoldBatchNorm> variants[] = {{"loop", Origin::native, plan_fold}};
  check(call);
  return first_variant<FoldBatchNorm>("fold_batch_norm", variants, call, selection);
}

}  // namespace scrawl::cpu
