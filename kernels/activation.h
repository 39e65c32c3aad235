#pragma once
/// Elementwise nonlinearities.
///
/// forward:  y = f(x)                      relu: max(x, 0); sigmoid: 1 / (1 + exp(-x)); tanh
/// backward: dx = dy * f'(x), from y only  relu: y > 0; sigmoid: y (1 - y); tanh: 1 - y^2
/// x, y, dy, dx: one shape, one type, any placement (all the same); y may alias x, dx may alias dy.
/// NaN propagates.

#include <string_view>

#include "kernels/view.h"

namespace scrawl {

enum class Activation : std::uint8_t { none, relu, sigmoid, tanh };

std::string_view name_of(Activation);

/// What a forward call is for: in inference weights may be prepared once and nothing is kept for backward.
enum class KernelPhase : std::uint8_t { training, inference };

struct ActivationForward {
  Activation kind = Activation::relu;
  View x, y;
};

struct ActivationBackward {
  Activation kind = Activation::relu;
  View y, dy, dx;
};

}  // namespace scrawl
