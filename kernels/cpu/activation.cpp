/// Elementwise nonlinearities: one pass over memory.

#include "kernels/activation.h"

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

template <Activation kKind>
[[gnu::always_inline]] inline f32x16 value(f32x16 x) {
  if constexpr (kKind == Activation::relu) return max(f32x16{}, x);  // in this order NaN passes
  if constexpr (kKind == Activation::sigmoid) return sigmoid(x);
  if constexpr (kKind == Activation::tanh) return tanh(x);
  return x;
}

template <Activation kKind>
[[gnu::always_inline]] inline f32x16 gradient(f32x16 y, f32x16 dy) {
  if constexpr (kKind == Activation::relu) return select(less_equal(y, f32x16{}), f32x16{}, dy);
  if constexpr (kKind == Activation::sigmoid) return dy * y * (1.0f - y);
  if constexpr (kKind == Activation::tanh) return dy * (1.0f - y * y);
  return dy;
}

template <class F>
void dispatch_kind(Activation kind, F&& f) {
  switch (kind) {
    case Activation::none:
      return f.template operator()<Activation::none>();
    case Activation::relu:
      return f.template operator()<Activation::relu>();
    case Activation::sigmoid:
      return f.template operator()<Activation::sigmoid>();
    case Activation::tanh:
      return f.template operator()<Activation::tanh>();
  }
}

void forward(const ActivationForward& call, int threads) {
  dispatch_storage(call.x.type, [&]<class T>() {
    const T* const x = call.x.as<T>();
    T* const y = call.y.as<T>();
    dispatch_kind(call.kind, [&]<Activation kKind>() {
      each_vector(threads, elements_of(call.x),
                  [=](std::int64_t i, int count) { store(y + i, value<kKind>(load(x + i, count)), count); });
    });
  });
}

void backward(const ActivationBackward& call, int threads) {
  dispatch_storage(call.y.type, [&]<class T>() {
    const T* const y = call.y.as<T>();
    const T* const dy = call.dy.as<T>();
    T* const dx = call.dx.as<T>();
    dispatch_kind(call.kind, [&]<Activation kKind>() {
      each_vector(threads, elements_of(call.y), [=](std::int64_t i, int count) {
        store(dx + i, gradient<kKind>(load(y + i, count), load(dy + i, count)), count);
      });
    });
  });
}

/// A blocked layout holds zeros past its channels, and sigmoid(0) is not zero.
void keep_padding_zero(Activation kind, View& view) {
  if (kind == Activation::sigmoid && elements_of(view) != view.shape.count())
    make_plain(view, plain_order(view));
}

Plan<ActivationForward> plan_forward(ActivationForward& call, const Selection& selection) {
  make_dense(call.x);
  keep_padding_zero(call.kind, call.x);
  place_as(call.y, call.x);
  return {.run = [threads = selection.threads](const ActivationForward& c, Bytes, Stream) {
    forward(c, threads);
  }};
}

Plan<ActivationBackward> plan_backward(ActivationBackward& call, const Selection& selection) {
  make_dense(call.y);
  place_as(call.dy, call.y);
  place_as(call.dx, call.y);
  return {.run = [threads = selection.threads](const ActivationBackward& c, Bytes, Stream) {
    backward(c, threads);
  }};
}

}  // namespace

Plan<ActivationForward> activation_forward(ActivationForward& call, const Selection& selection) {
  static constexpr Variant<ActivationForward> variants[] = {{"vector", Origin::native, plan_forward}};
  check(call);
  return first_variant<ActivationForward>("activation_forward", variants, call, selection);
}

Plan<ActivationBackward> activation_backward(ActivationBackward& call, const Selection& selection) {
  static constexpr Variant<ActivationBackward> variants[] = {{"vector", Origin::native, plan_backward}};
  check(call);
  return first_variant<ActivationBackward>("activation_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
