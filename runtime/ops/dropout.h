#pragma once
#include "kernels/elementwise.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Dropout by counters (kernels/elementwise.h): the backward draws the same mask again. Identity in
/// inference.
struct Drop {
  static constexpr std::string_view name = "dropout";
  float rate = 0.5f;
  int sample_axis = 0;

  Specs infer(const Specs& in) const {
    if (!(rate >= 0 && rate < 1)) throw ShapeError("{}: rate: expected 0 <= rate < 1, got {}", name, rate);
    return {in[0]};
  }

  void forward(Emit& e) const { mask(e, e.in(0), e.out(0), e.training() ? rate : 0); }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor) mask(e, e.dy(0), dx, rate);
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {2.0 * static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("rate {}", rate); }

 private:
  void mask(Emit& e, TensorId x, TensorId y, float drop) const {
    e.call("dropout", &Backend::dropout,
           Dropout{.rate = drop, .seed = e.seed(), .node = e.node_number(), .sample_axis = sample_axis},
           {read(&Dropout::x, x), read(&Dropout::counters, e.counters()), write(&Dropout::y, y)});
  }
};

}  // namespace scrawl::ops
