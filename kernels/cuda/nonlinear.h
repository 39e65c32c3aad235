#pragma once
/// The nonlinearities of activation.h on one number. The kind is the same for all lanes.

#include <cmath>

#include "kernels/activation.h"
#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

SCRAWL_DEVICE float activated(Activation kind, float x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x < 0 ? 0 : x;  // NaN stays NaN
    case Activation::sigmoid:
      return 1 / (1 + expf(-x));
    case Activation::tanh:
      return tanhf(x);
  }
  return x;
}

/// dy f'(x), from y = f(x).
SCRAWL_DEVICE float activation_gradient(Activation kind, float y, float dy) {
  switch (kind) {
    case Activation::none:
      return dy;
    case Activation::relu:
      return y <= 0 ? 0 : dy;  // whatever dy is
    case Activation::sigmoid:
      return dy * y * (1 - y);
    case Activation::tanh:
      return dy * (1 - y * y);
  }
  return dy;
}

}  // namespace SCRAWL_CUDA
