#pragma once
#include "kernels/activation.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// y = relu(x), sigmoid(x) or tanh(x) (kernels/activation.h).
struct Activate {
  static constexpr std::string_view name = "activation";
  Activation kind = Activation::relu;

  Specs infer(const Specs& in) const { return {in[0]}; }

  void forward(Emit& e) const {
    e.call("activation_forward", &Backend::activation_forward, ActivationForward{.kind = kind},
           {read(&ActivationForward::x, e.in(0)), write(&ActivationForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("activation_backward", &Backend::activation_backward, ActivationBackward{.kind = kind},
             {read(&ActivationBackward::y, e.out(0)), read(&ActivationBackward::dy, e.dy(0)),
              write(&ActivationBackward::dx, dx)});
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    return {static_cast<double>(in[0].shape.count()),
            bytes_of(in, out) * (phase == Phase::backward ? 1.5 : 1)};
  }

  std::string parameters() const { return std::string(name_of(kind)); }
};

}  // namespace scrawl::ops
