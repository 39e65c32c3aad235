#pragma once
#include "kernels/conv2d.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Convolution with optional bias and activation (kernels/conv2d.h).
/// Inputs: x (N,C,H,W), w (K,C/G,R,S), [b (K)], [x_widths (N)], [y_widths (N)]. Output: y (N,K,P,Q).
struct Conv2d {
  static constexpr std::string_view name = "conv2d";
  Conv2dParams params;
  Activation activation = Activation::none;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 4, name, "x", "N C H W", in[0]);
    expect(in[1].shape.rank == 4, name, "w", "K C R S", in[1]);
    return {image_spec(in[0].type, conv2d_output(params, in[0].shape, in[1].shape))};
  }

  void forward(Emit& e) const {
    e.call(
        "conv2d_forward", &Backend::conv2d_forward,
        Conv2dForward{.params = params,
                      .activation = activation,
                      .phase = e.training() ? KernelPhase::training : KernelPhase::inference},
        {read(&Conv2dForward::x, e.in(0)), read(&Conv2dForward::w, e.in(1)), read(&Conv2dForward::b, e.in(2)),
         read(&Conv2dForward::y_widths, e.in(4)), write(&Conv2dForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    TensorId dz = e.dy(0);
    if (activation != Activation::none) {
      dz = e.temporary("dz", e.spec(e.out(0)));
      e.call("activation_backward", &Backend::activation_backward, ActivationBackward{.kind = activation},
             {read(&ActivationBackward::y, e.out(0)), read(&ActivationBackward::dy, e.dy(0)),
              write(&ActivationBackward::dx, dz)});
    }
    gradients(e, dz);
  }

  /// Of x, w and b, from dz, the gradient of what the products add up to. x is input 0, then w, b, x_widths.
  void gradients(Emit& e, TensorId dz) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("conv2d_backward_data", &Backend::conv2d_backward_data, Conv2dBackwardData{.params = params},
             {read(&Conv2dBackwardData::dy, dz), read(&Conv2dBackwardData::w, e.in(1)),
              read(&Conv2dBackwardData::x_widths, e.in(3)), write(&Conv2dBackwardData::dx, dx)});
    if (const auto dw = e.dx(1); dw != no_tensor)
      e.call("conv2d_backward_weight", &Backend::conv2d_backward_weight,
             Conv2dBackwardWeight{.params = params},
             {read(&Conv2dBackwardWeight::x, e.in(0)), read(&Conv2dBackwardWeight::dy, dz),
              write(&Conv2dBackwardWeight::dw, dw), write(&Conv2dBackwardWeight::db, e.dx(2))});
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const auto& w = in[1].shape;
    const double product = 2.0 * static_cast<double>(out[0].shape.count() * w[1] * w[2] * w[3]);
    const double passes = phase == Phase::backward ? 2 : 1;
    return {passes * product, passes * bytes_of(in, out)};
  }

  std::string parameters() const {
    return fmt::format("stride {}x{} pad {},{},{},{} dilation {}x{} groups {} {}", params.stride_h,
                       params.stride_w, params.pad_top, params.pad_left, params.pad_bottom, params.pad_right,
                       params.dilation_h, params.dilation_w, params.groups, name_of(activation));
  }
};

}  // namespace scrawl::ops
