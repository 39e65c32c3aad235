/// Elementwise nonlinearities: one pass over memory, in whatever order it lies. The kind is a uniform branch:
/// a kernel bound by memory has time for it.

#include "kernels/activation.h"

#include "kernels/check.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/nonlinear.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"

namespace SCRAWL_CUDA {

namespace {

template <class T>
struct Activate {
  static constexpr int vector = full_vector<T>;
  Activation kind;
  const T* x;
  T* y;

  template <int N>
  SCRAWL_DEVICE Stored<T, N> load(std::int64_t i) const {
    return load_stored<N>(x + i);
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<T, N>& loaded) const {
    auto values = to_floats(loaded);
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = activated(kind, values[j]);
    store_floats(y + i, values);
  }
};

template <class T>
struct Differentiate {
  static constexpr int vector = full_vector<T>;
  Activation kind;
  const T *y, *dy;
  T* dx;

  template <int N>
  struct Loaded {
    Stored<T, N> y, dy;
  };

  template <int N>
  SCRAWL_DEVICE Loaded<N> load(std::int64_t i) const {
    return {load_stored<N>(y + i), load_stored<N>(dy + i)};
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Loaded<N>& loaded) const {
    const auto values = to_floats(loaded.y);
    auto gradients = to_floats(loaded.dy);
#pragma unroll
    for (int j = 0; j < N; ++j) gradients[j] = activation_gradient(kind, values[j], gradients[j]);
    store_floats(dx + i, gradients);
  }
};

Plan<ActivationForward> plan_forward(ActivationForward& call, const Selection&) {
  make_dense(call.x);
  place_as(call.y, call.x);
  return {.run = [](const ActivationForward& c, Bytes, Stream stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      const Activate<T> activate{.kind = c.kind, .x = c.x.as<const T>(), .y = c.y.as<T>()};
      launch_elementwise("activation_forward", activate, c.x.shape.count(), are_vector_aligned(c.x, c.y),
                         stream);
    });
  }};
}

Plan<ActivationBackward> plan_backward(ActivationBackward& call, const Selection&) {
  make_dense(call.y);
  place_as(call.dy, call.y);
  place_as(call.dx, call.y);
  return {.run = [](const ActivationBackward& c, Bytes, Stream stream) {
    dispatch_storage(c.y.type, [&]<class T>() {
      const Differentiate<T> differentiate{
          .kind = c.kind, .y = c.y.as<const T>(), .dy = c.dy.as<const T>(), .dx = c.dx.as<T>()};
      launch_elementwise("activation_backward", differentiate, c.y.shape.count(),
                         are_vector_aligned(c.y, c.dy, c.dx), stream);
    });
  }};
}

}  // namespace

Plan<ActivationForward> activation_forward(ActivationForward& call, const Selection& selection) {
  static constexpr Variant<ActivationForward> variants[] = {{"flat", Origin::native, plan_forward}};
  check(call);
  return first_variant<ActivationForward>("activation_forward", variants, call, selection);
}

Plan<ActivationBackward> activation_backward(ActivationBackward& call, const Selection& selection) {
  static constexpr Variant<ActivationBackward> variants[] = {{"flat", Origin::native, plan_backward}};
  check(call);
  return first_variant<ActivationBackward>("activation_backward", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
