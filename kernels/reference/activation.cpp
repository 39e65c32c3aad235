#include "kernels/reference/activation.h"

#include <cmath>

#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {

double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x < 0 ? 0 : x;  // NaN stays NaN
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
  }
  return x;
}

double activation_gradient(Activation kind, double y, double dy) {
  switch (kind) {
    case Activation::none:
      return dy;
    case Activation::relu:
      return y <= 0 ? 0 : dy;
    case Activation::sigmoid:
      return dy * y * (1 - y);
    case Activation::tanh:
      return dy * (1 - y * y);
  }
  return dy;
}

void run(const ActivationForward& call) {
  Tensor y(call.x);
  for (auto& value : y.values()) value = activate(call.kind, value);
  y.store(call.y);
}

void run(const ActivationBackward& call) {
  const Tensor y(call.y), dy(call.dy);
  Tensor dx(call.dx.shape);
  for (std::size_t i = 0; i < dx.values().size(); ++i)
    dx.values()[i] = activation_gradient(call.kind, y.values()[i], dy.values()[i]);
  dx.store(call.dx);
}

}  // namespace scrawl::reference
