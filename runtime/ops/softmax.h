#pragma once
#include "kernels/elementwise.h"
#include "kernels/softmax.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Softmax or log-softmax over the last axis (kernels/softmax.h).
struct Softmax {
  static constexpr std::string_view name = "softmax";
  SoftmaxKind kind = SoftmaxKind::softmax;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank >= 1, name, "x", "at least one axis", in[0]);
    auto y = in[0];
    y.gradient_type = y.type;  // that of x may be narrower
    return {y};
  }

  void forward(Emit& e) const {
    e.call("softmax_forward", &Backend::softmax_forward, SoftmaxForward{.kind = kind},
           {read(&SoftmaxForward::x, e.in(0)), write(&SoftmaxForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    const auto dx = e.dx(0);
    if (dx == no_tensor) return;
    const bool is_cast = e.spec(dx).type != e.spec(e.out(0)).type;
    const auto exact = is_cast ? e.temporary("dx", e.spec(e.out(0))) : dx;
    e.call("softmax_backward", &Backend::softmax_backward, SoftmaxBackward{.kind = kind},
           {read(&SoftmaxBackward::y, e.out(0)), read(&SoftmaxBackward::dy, e.dy(0)),
            write(&SoftmaxBackward::dx, exact)});
    if (is_cast) e.call("copy", &Backend::copy, Copy{}, {read(&Copy::x, exact), write(&Copy::y, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {5.0 * static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return kind == SoftmaxKind::softmax ? "" : "log"; }
};

}  // namespace scrawl::ops
