#pragma once
#include "runtime/ops/activation.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/pool.h"

namespace scrawl::ops {

/// Convolution, bias, ReLU and max pooling. Inputs as Conv2d, then [pooled_widths (N)]. Output: y (N,K,P,Q).
/// Taken apart, ReLU comes after the pooling: max and ReLU commute, and there is a window less of it to do.
struct Conv2dPool {
  static constexpr std::string_view name = "conv2d_pool";
  Conv2dParams params;
  PoolParams pool;

  Specs infer(const Specs& in) const {
    const auto convolved = Conv2d{params}.infer(in);
    return {Pool{pool}.infer({convolved[0]})[0]};
  }

  bool supported(const Backend&) const { return false; }  // no backend has it in one kernel

  template <class Rebuild>
  void decompose(Rebuild& r) const {
    const auto z = r.add(Conv2d{params}, {r.in(0), r.in(1), r.in(2), r.in(3), r.in(4)});
    const auto pooled = r.add(Pool{pool}, {z[0], r.in(4), r.in(5)});
    r.replace(r.add(Activate{Activation::relu}, {pooled[0]}));
  }

  void forward(Emit&) const { throw InternalError("{}: is always taken apart", name); }
  void backward(Emit&) const { throw InternalError("{}: is always taken apart", name); }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const auto convolved = Conv2d{params}.infer(in);
    return {Conv2d{params}.cost(phase, in, convolved).flops, bytes_of(in, out)};
  }

  std::string parameters() const {
    return Conv2d{params, Activation::relu}.parameters() + ", " + Pool{pool}.parameters();
  }
};

}  // namespace scrawl::ops
