#pragma once
#include "kernels/softmax.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Softmax or log-softmax over the last axis (kernels/softmax.h).
struct Softmax {
  static constexpr std::string_view name = "softmax";
  SoftmaxKind kind = SoftmaxKind::softmax;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank >= 1, name, "x", "at least one axis", in[0]);
    return {in[0]};
  }

  void forward(Emit& e) const {
    e.call("softmax_forward", &Backend::softmax_forward, SoftmaxForward{.kind = kind},
           {read(&SoftmaxForward::x, e.in(0)), write(&SoftmaxForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("softmax_backward", &Backend::softmax_backward, SoftmaxBackward{.kind = kind},
             {read(&SoftmaxBackward::y, e.out(0)), read(&SoftmaxBackward::dy, e.dy(0)),
              write(&SoftmaxBackward::dx, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {5.0 * static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return kind == SoftmaxKind::softmax ? "" : "log"; }
};

}  // namespace scrawl::ops
