/// What joins per-sample losses to a step: rows scaled by what comes from above, and means. Sums are f64, in
/// one order.

#include "kernels/loss.h"

#include "kernels/check.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/planners.h"
#include "kernels/optimizer.h"

namespace SCRAWL_CUDA {

namespace {

/// Rows may begin within a vector.
template <class T>
struct Scale {
  static constexpr int vector = full_vector<float>;
  const float *x, *scale;
  T* y;
  std::int64_t columns, samples;

  template <int N>
  SCRAWL_DEVICE Stored<float, N> load(std::int64_t i) const {
    return load_stored<N>(x + i);
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<float, N>& loaded) const {
    auto values = to_floats(loaded);
    auto row = i / columns, column = i % columns, sample = row % samples;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float factor = scale[sample];
      values[j] = factor == 0 ? 0 : values[j] * factor;  // whatever x
      if (j + 1 < N && ++column == columns) {
        column = 0;
        if (++sample == samples) sample = 0;
      }
    }
    store_floats(y + i, values);
  }
};

struct Mean {
  static constexpr int threads = 256;
};

SCRAWL_KERNEL SCRAWL_THREADS(Mean::threads) void mean(const float* x, std::int64_t count, float* y) {
  double sum = 0;
  for (std::int64_t i = thread_index(); i < count; i += Mean::threads) sum += x[i];
  sum = reduce_block(sum, Plus{}, shared_memory<PerWarp<double>>());
  if (thread_index() == 0) *y = static_cast<float>(sum / static_cast<double>(count));
}

SCRAWL_KERNEL SCRAWL_THREADS(Mean::threads) void spread(const float* dy, const float* control, float* dx,
                                                        std::int64_t count) {
  const auto i = std::int64_t{block_index().x} * Mean::threads + thread_index();
  if (i >= count) return;
  const double upstream = dy ? *dy : 1.0f, scale = control ? control[Control::loss_scale] : 1.0f;
  dx[i] = static_cast<float>(upstream * scale / static_cast<double>(count));
}

Plan<ScaleRows> plan_scale(ScaleRows& call, const Selection&) {
  make_row_major(call.x, call.scale, call.y);
  return {.run = [](const ScaleRows& c, Bytes, Stream stream) {
    dispatch_storage(c.y.type, [&]<class T>() {
      const auto rank = c.x.shape.rank;
      const Scale<T> scale{.x = c.x.as<const float>(),
                           .scale = c.scale.as<const float>(),
                           .y = c.y.as<T>(),
                           .columns = c.x.shape[rank - 1],
                           .samples = c.x.shape[rank - 2]};
      launch_elementwise("scale_rows", scale, c.x.shape.count(), are_vector_aligned(c.x, c.y), stream);
    });
  }};
}

Plan<MeanForward> plan_mean(MeanForward& call, const Selection&) {
  make_row_major(call.x, call.y);
  return {.run = [](const MeanForward& c, Bytes, Stream stream) {
    launch({.kernel = "mean",
            .threads = Mean::threads,
            .shared_bytes = shared_size<PerWarp<double>, 256>,
            .stream = stream},
           mean, c.x.as<const float>(), c.x.shape.count(), c.y.as<float>());
  }};
}

Plan<MeanBackward> plan_spread(MeanBackward& call, const Selection&) {
  make_row_major(call.dy, call.control, call.dx);
  return {.run = [](const MeanBackward& c, Bytes, Stream stream) {
    const auto count = c.dx.shape.count();
    launch({.kernel = "mean_backward",
            .blocks = {blocks_for(count, Mean::threads)},
            .threads = Mean::threads,
            .stream = stream},
           spread, c.dy.as<const float>(), c.control.as<const float>(), c.dx.as<float>(), count);
  }};
}

}  // namespace

Plan<ScaleRows> scale_rows(ScaleRows& call, const Selection& selection) {
  static constexpr Variant<ScaleRows> variants[] = {{"flat", Origin::native, plan_scale}};
  check(call);
  return first_variant<ScaleRows>("scale_rows", variants, call, selection);
}

Plan<MeanForward> mean_forward(MeanForward& call, const Selection& selection) {
  static constexpr Variant<MeanForward> variants[] = {{"block", Origin::native, plan_mean}};
  check(call);
  return first_variant<MeanForward>("mean_forward", variants, call, selection);
}

Plan<MeanBackward> mean_backward(MeanBackward& call, const Selection& selection) {
  static constexpr Variant<MeanBackward> variants[] = {{"flat", Origin::native, plan_spread}};
  check(call);
  return first_variant<MeanBackward>("mean_backward", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
