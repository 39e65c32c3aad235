#pragma once
#include "kernels/gemm.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Fully connected layer with optional bias and activation (kernels/gemm.h).
/// Inputs: x (..., I), w (O, I), [b (O)]. Output: y (..., O), of type `output`, or x's type where that is
/// narrower.
struct Dense {
  static constexpr std::string_view name = "dense";
  Activation activation = Activation::none;
  enum class Output : std::uint8_t { as_input, f32 } output = Output::as_input;

  Specs infer(const Specs& in) const {
    const auto& x = in[0].shape;
    expect(x.rank >= 2, name, "x", "at least two axes", in[0]);
    expect(in[1].shape.rank == 2 && in[1].shape[1] == x[x.rank - 1], name, "w",
           fmt::format("(outputs, {})", x[x.rank - 1]), in[1]);
    Shape y = x;
    y[y.rank - 1] = in[1].shape[0];
    const bool widen = output == Output::f32 && size_of(in[0].type) < size_of(DType::f32);
    auto spec = matrix_spec(widen ? DType::f32 : in[0].type, y);
    spec.gradient_type = in[0].type;
    return {spec};
  }

  void forward(Emit& e) const {
    e.call("dense_forward", &Backend::dense_forward,
           DenseForward{.activation = activation,
                        .phase = e.training() ? KernelPhase::training : KernelPhase::inference},
           {read(&DenseForward::x, e.in(0)), read(&DenseForward::w, e.in(1)), read(&DenseForward::b, e.in(2)),
            write(&DenseForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    TensorId dz = e.dy(0);
    if (activation != Activation::none) {
      dz = e.temporary("dz", e.spec(e.out(0)));
      e.call("activation_backward", &Backend::activation_backward, ActivationBackward{.kind = activation},
             {read(&ActivationBackward::y, e.out(0)), read(&ActivationBackward::dy, e.dy(0)),
              write(&ActivationBackward::dx, dz)});
    }
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("dense_backward_data", &Backend::dense_backward_data, DenseBackwardData{},
             {read(&DenseBackwardData::dy, dz), read(&DenseBackwardData::w, e.in(1)),
              write(&DenseBackwardData::dx, dx)});
    if (const auto dw = e.dx(1); dw != no_tensor)
      e.call("dense_backward_weight", &Backend::dense_backward_weight, DenseBackwardWeight{},
             {read(&DenseBackwardWeight::x, e.in(0)), read(&DenseBackwardWeight::dy, dz),
              write(&DenseBackwardWeight::dw, dw), write(&DenseBackwardWeight::db, e.dx(2))});
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const double product = 2.0 * static_cast<double>(out[0].shape.count() * in[1].shape[1]);
    const double passes = phase == Phase::backward ? 2 : 1;
    return {passes * product, passes * bytes_of(in, out)};
  }

  std::string parameters() const { return std::string(name_of(activation)); }
};

}  // namespace scrawl::ops
