#pragma once
#include "kernels/norm.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Emits the updates of both running statistics (kernels/norm.h), once the step is known to be finite.
inline void update_running(Emit& e, float momentum, TensorId running_mean, TensorId running_variance,
                           TensorId mean, TensorId variance, const Shape& x, TensorId widths) {
  const auto moment = [&](RunningUpdate::Moment which, TensorId running, TensorId value) {
    e.call("running_update", &Backend::running_update,
           RunningUpdate{.momentum = momentum, .moment = which, .count = x[0] * x[2] * x[3], .height = x[2]},
           {update(&RunningUpdate::running, running), read(&RunningUpdate::value, value),
            read(&RunningUpdate::widths, widths), read(&RunningUpdate::control, e.control())});
  };
  moment(RunningUpdate::Moment::mean, running_mean, mean);
  moment(RunningUpdate::Moment::variance, running_variance, variance);
}

/// Batch normalisation with optional ReLU (kernels/norm.h); running statistics in inference.
/// Inputs: x (N,C,H,W), gamma, beta, running_mean, running_variance (C), [widths (N)].
/// Outputs: y, and in training the batch's mean and variance (C).
struct BatchNorm {
  static constexpr std::string_view name = "batch_norm";
  float epsilon = 1e-5f, momentum = 0.1f;
  Activation activation = Activation::none;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 4, name, "x", "N C H W", in[0]);
    for (std::size_t i = 1; i <= 4; ++i)
      expect(in[i].shape == Shape{in[0].shape[1]}, name, "per-channel input",
             fmt::format("({})", in[0].shape[1]), in[i]);
    return {in[0], in[1], in[1]};
  }

  void forward(Emit& e) const {
    if (!e.training()) {
      e.call("batch_norm_inference", &Backend::batch_norm_inference,
             BatchNormInference{.epsilon = epsilon, .activation = activation},
             {read(&BatchNormInference::x, e.in(0)), read(&BatchNormInference::gamma, e.in(1)),
              read(&BatchNormInference::beta, e.in(2)), read(&BatchNormInference::mean, e.in(3)),
              read(&BatchNormInference::variance, e.in(4)), read(&BatchNormInference::widths, e.in(5)),
              write(&BatchNormInference::y, e.out(0))});
      return;
    }
    e.call("batch_norm_forward", &Backend::batch_norm_forward,
           BatchNormForward{.epsilon = epsilon, .activation = activation},
           {read(&BatchNormForward::x, e.in(0)), read(&BatchNormForward::gamma, e.in(1)),
            read(&BatchNormForward::beta, e.in(2)), read(&BatchNormForward::widths, e.in(5)),
            write(&BatchNormForward::y, e.out(0)), write(&BatchNormForward::mean, e.out(1)),
            write(&BatchNormForward::variance, e.out(2))});
  }

  void backward(Emit& e) const {
    e.call("batch_norm_backward", &Backend::batch_norm_backward,
           BatchNormBackward{.epsilon = epsilon, .activation = activation},
           {read(&BatchNormBackward::x, e.in(0)), read(&BatchNormBackward::dy, e.dy(0)),
            read(&BatchNormBackward::gamma, e.in(1)), read(&BatchNormBackward::beta, e.in(2)),
            read(&BatchNormBackward::mean, e.out(1)), read(&BatchNormBackward::variance, e.out(2)),
            read(&BatchNormBackward::widths, e.in(5)), write(&BatchNormBackward::dx, e.dx(0)),
            write(&BatchNormBackward::dgamma, e.dx(1)), write(&BatchNormBackward::dbeta, e.dx(2))});
  }

  void update(Emit& e) const {
    update_running(e, momentum, e.in(3), e.in(4), e.out(1), e.out(2), e.spec(e.in(0)).shape, e.in(5));
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const double n = static_cast<double>(in[0].shape.count());
    return phase == Phase::backward ? Cost{10 * n, 1.5 * bytes_of(in, out)} : Cost{7 * n, bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("epsilon {} {}", epsilon, name_of(activation)); }
};

}  // namespace scrawl::ops
