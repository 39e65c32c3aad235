#pragma once
/// The nonlinearities of activation.h on vectors.

#include "kernels/activation.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

template <Activation kKind>
[[gnu::always_inline]] inline f32x16 activated(f32x16 x) {
  if constexpr (kKind == Activation::relu) return max(f32x16{}, x);  // in this order NaN passes
  if constexpr (kKind == Activation::sigmoid) return sigmoid(x);
  if constexpr (kKind == Activation::tanh) return tanh(x);
  return x;
}

/// Calls f.template operator()<kind>().
template <class F>
decltype(auto) dispatch_kind(Activation kind, F&& f) {
  switch (kind) {
    case Activation::relu:
      return f.template operator()<Activation::relu>();
    case Activation::sigmoid:
      return f.template operator()<Activation::sigmoid>();
    case Activation::tanh:
      return f.template operator()<Activation::tanh>();
    case Activation::none:
      break;
  }
  return f.template operator()<Activation::none>();
}

}  // namespace scrawl::cpu
