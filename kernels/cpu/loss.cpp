/// Cross-entropy with its gradient in one visit of each row, and what joins losses to a step.

#include "kernels/loss.h"

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/planners.h"
#include "kernels/cpu/rows.h"
#include "kernels/optimizer.h"

namespace scrawl::cpu {
namespace {

template <class T, int kVectors>
void classify(const CrossEntropy& call, int threads) {
  const auto classes = call.x.shape[1];
  const auto* const adjustment = call.adjustment.present() ? call.adjustment.as<const float>() : nullptr;
  const double smoothing = call.label_smoothing, each = smoothing / static_cast<double>(classes);
  each_row_of(call.x.shape[0], classes, threads, [&](std::int64_t n) {
    const auto target = call.targets.as<const std::int32_t>()[n];
    const T* const x = call.x.as<const T>() + n * classes;
    float* const d_x = call.d_x.present() ? call.d_x.as<float>() + n * classes : nullptr;
    float& loss = call.loss.as<float>()[n];
    if (target < 0) {
      loss = 0;
      if (d_x) std::fill_n(d_x, classes, 0.0f);
      return;
    }
    const auto logits = [=](std::int64_t k, int count) {
      const f32x16 given = load(x + k, count);
      return adjustment ? given + load(adjustment + k, count) : given;
    };
    const auto e = exponentials<kVectors>(classes, logits);
    const double log_sum = std::log(static_cast<double>(e.sum));
    // A class of probability 0 that nothing asks for costs nothing, hence the conditions.
    double log_likelihood = 0;
    if (smoothing < 1) {
      const float given = static_cast<float>(x[target]) + (adjustment ? adjustment[target] : 0.0f);
      log_likelihood += (1 - smoothing) * (static_cast<double>(given - e.largest) - log_sum);
    }
    if (smoothing > 0) {
      f32x16 below{};
      each_vector_of_row<kVectors>(classes, [&](std::int64_t k, int count) {
        below += select(first_lanes(count), logits(k, count) - e.largest, f32x16{});
      });
      log_likelihood += each * (sum(below) - static_cast<double>(classes) * log_sum);
    }
    loss = static_cast<float>(-log_likelihood);
    if (!d_x) return;
    const float factor = 1 / e.sum;
    each_vector_of_row<kVectors>(classes, [&](std::int64_t k, int count) {
      store(d_x + k, e(k, count) * factor - static_cast<float>(each), count);
    });
    const float given = static_cast<float>(x[target]) + (adjustment ? adjustment[target] : 0.0f);
    d_x[target] = std::exp(given - e.largest) * factor - static_cast<float>(1 - smoothing + each);
  });
}

template <class T>
void scale_rows(const ScaleRows& call, int threads) {
  const auto rank = call.x.shape.rank;
  const auto columns = call.x.shape[rank - 1], samples = call.x.shape[rank - 2];
  const auto rows = rank == 3 ? call.x.shape[0] * samples : samples;
  each_row_of(rows, columns, threads, [&](std::int64_t row) {
    const float scale = call.scale.as<const float>()[row % samples];
    const auto* const x = call.x.as<const float>() + row * columns;
    T* const y = call.y.as<T>() + row * columns;
    each_vector_of_row(columns, [&](std::int64_t k, int count) {
      store(y + k, scale == 0 ? f32x16{} : load(x + k, count) * scale, count);  // zero, whatever x
    });
  });
}

void mean(const MeanForward& call) {
  const auto* const x = call.x.as<const float>();
  double total = 0;
  for (std::int64_t n = 0; n < call.x.shape[0]; ++n) total += x[n];
  *call.y.as<float>() = static_cast<float>(total / static_cast<double>(call.x.shape[0]));
}

void spread(const MeanBackward& call) {
  const double upstream = call.dy.present() ? *call.dy.as<const float>() : 1;
  const double scale = call.control.present() ? call.control.as<const float>()[Control::loss_scale] : 1;
  const auto count = call.dx.shape[0];
  std::fill_n(call.dx.as<float>(), count, static_cast<float>(upstream * scale / static_cast<double>(count)));
}

Plan<CrossEntropy> plan_classify(CrossEntropy& call, const Selection& selection) {
  make_row_major(call.x, call.adjustment, call.targets, call.loss, call.d_x);
  return {.run = [threads = selection.threads](const CrossEntropy& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      dispatch_width(c.x.shape[1], [&]<int kVectors>() { classify<T, kVectors>(c, threads); });
    });
  }};
}

Plan<ScaleRows> plan_scale(ScaleRows& call, const Selection& selection) {
  make_row_major(call.x, call.scale, call.y);
  return {.run = [threads = selection.threads](const ScaleRows& c, Bytes, Stream) {
    dispatch_storage(c.y.type, [&]<class T>() { scale_rows<T>(c, threads); });
  }};
}

Plan<MeanForward> plan_mean(MeanForward& call, const Selection&) {
  make_row_major(call.x, call.y);
  return {.run = [](const MeanForward& c, Bytes, Stream) { mean(c); }};
}

Plan<MeanBackward> plan_spread(MeanBackward& call, const Selection&) {
  make_row_major(call.dy, call.control, call.dx);
  return {.run = [](const MeanBackward& c, Bytes, Stream) { spread(c); }};
}

}  // namespace

Plan<CrossEntropy> cross_entropy(CrossEntropy& call, const Selection& selection) {
  static constexpr Variant<CrossEntropy> variants[] = {{"rows", Origin::native, plan_classify}};
  check(call);
  return first_variant<CrossEntropy>("cross_entropy", variants, call, selection);
}

Plan<ScaleRows> scale_rows(ScaleRows& call, const Selection& selection) {
  static constexpr Variant<ScaleRows> variants[] = {{"rows", Origin::native, plan_scale}};
  check(call);
  return first_variant<ScaleRows>("scale_rows", variants, call, selection);
}

Plan<MeanForward> mean_forward(MeanForward& call, const Selection& selection) {
  static constexpr Variant<MeanForward> variants[] = {{"loop", Origin::native, plan_mean}};
  check(call);
  return first_variant<MeanForward>("mean_forward", variants, call, selection);
}

Plan<MeanBackward> mean_backward(MeanBackward& call, const Selection& selection) {
  static constexpr Variant<MeanBackward> variants[] = {{"loop", Origin::native, plan_spread}};
  check(call);
  return first_variant<MeanBackward>("mean_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
