/// Softmax and log-softmax: a row stays in L1 between the pass for its largest, for its sum, and to write it.

#include "kernels/softmax.h"

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/planners.h"
#include "kernels/cpu/rows.h"

namespace scrawl::cpu {
namespace {

std::int64_t classes_of(const View& view) { return view.shape[view.shape.rank - 1]; }

std::int64_t rows_of(const View& view) {
  const auto classes = classes_of(view);
  return classes == 0 ? 0 : view.shape.count() / classes;
}

template <class T, int kVectors>
void forward(const SoftmaxForward& call, int threads) {
  const auto classes = classes_of(call.x);
  each_row_of(rows_of(call.x), classes, threads, [&](std::int64_t row) {
    const T* const x = call.x.as<const T>() + row * classes;
    T* const y = call.y.as<T>() + row * classes;
    const auto logits = [=](std::int64_t k, int count) { return load(x + k, count); };
    const auto e = exponentials<kVectors>(classes, logits);
    const bool log = call.kind == SoftmaxKind::log_softmax;
    const float factor = 1 / e.sum, log_sum = log ? std::log(e.sum) : 0;
    each_vector_of_row<kVectors>(classes, [&](std::int64_t k, int count) {
      store(y + k, log ? logits(k, count) - e.largest - log_sum : e(k, count) * factor, count);
    });
  });
}

template <class T>
void backward(const SoftmaxBackward& call, int threads) {
  const auto classes = classes_of(call.y);
  const bool log = call.kind == SoftmaxKind::log_softmax;
  each_row_of(rows_of(call.y), classes, threads, [&](std::int64_t row) {
    const T* const y = call.y.as<const T>() + row * classes;
    const T* const dy = call.dy.as<const T>() + row * classes;
    T* const dx = call.dx.as<T>() + row * classes;
    f32x16 sums{};
    each_vector_of_row(classes, [&](std::int64_t k, int count) {
      const f32x16 gradient = load(dy + k, count);
      sums += log ? gradient : gradient * load(y + k, count);
    });
    const float total = sum(sums);
    each_vector_of_row(classes, [&](std::int64_t k, int count) {
      const f32x16 value = load(y + k, count), gradient = load(dy + k, count);
      store(dx + k, log ? gradient - exp(value) * total : value * (gradient - total), count);
    });
  });
}

Plan<SoftmaxForward> plan_forward(SoftmaxForward& call, const Selection& selection) {
  make_row_major(call.x, call.y);
  return {.run = [threads = selection.threads](const SoftmaxForward& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      dispatch_width(classes_of(c.x), [&]<int kVectors>() { forward<T, kVectors>(c, threads); });
    });
  }};
}

Plan<SoftmaxBackward> plan_backward(SoftmaxBackward& call, const Selection& selection) {
  make_row_major(call.y, call.dy, call.dx);
  return {.run = [threads = selection.threads](const SoftmaxBackward& c, Bytes, Stream) {
    dispatch_storage(c.y.type, [&]<class T>() { backward<T>(c, threads); });
  }};
}

}  // namespace

Plan<SoftmaxForward> softmax_forward(SoftmaxForward& call, const Selection& selection) {
  static constexpr Variant<SoftmaxForward> variants[] = {{"rows", Origin::native, plan_forward}};
  check(call);
  return first_variant<SoftmaxForward>("softmax_forward", variants, call, selection);
}

Plan<SoftmaxBackward> softmax_backward(SoftmaxBackward& call, const Selection& selection) {
  static constexpr Variant<SoftmaxBackward> variants[] = {{"rows", Origin::native, plan_backward}};
  check(call);
  return first_variant<SoftmaxBackward>("softmax_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
