#pragma once
#include "runtime/ops/activation.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/pool.h"

namespace scrawl::ops {

/// Convolution, bias, max pooling and ReLU, which commute: ReLU has a window less to do after pooling. Inputs
/// as Conv2d, then [pooled_widths (N)]. Outputs: y (N,K,P,Q), and argmax, which only the backward reads.
struct Conv2dPool {
  static constexpr std::string_view name = "conv2d_pool";
  Conv2dParams params;
  PoolParams pool;

  Specs infer(const Specs& in) const {
    const auto convolved = Conv2d{params}.infer(in);
    return Pool{pool}.infer({convolved[0]});
  }

  bool supported(const Backend& backend, KernelSet kernels) const {
    return kernels != KernelSet::vendor && backend.conv2d_pool_forward && pools_in_tiles(pool);
  }

  template <class Rebuild>
  void decompose(Rebuild& r) const {
    const auto z = r.add(Conv2d{params}, {r.in(0), r.in(1), r.in(2), r.in(3), r.in(4)});
    const auto pooled = r.add(Pool{pool}, {z[0], r.in(4), r.in(5)});
    r.replace({r.add(Activate{Activation::relu}, {pooled[0]})[0], pooled[1]});
  }

  void forward(Emit& e) const {
    using Call = Conv2dPoolForward;
    e.call("conv2d_pool_forward", &Backend::conv2d_pool_forward,
           Call{.params = params,
                .pool = pool,
                .phase = e.training() ? KernelPhase::training : KernelPhase::inference},
           {read(&Call::x, e.in(0)), read(&Call::w, e.in(1)), read(&Call::b, e.in(2)),
            read(&Call::convolved_widths, e.in(4)), read(&Call::y_widths, e.in(5)), write(&Call::y, e.out(0)),
            write(&Call::argmax, e.training() ? e.out(1) : no_tensor)});
  }

  void backward(Emit& e) const {
    const auto dpooled = e.temporary("dpooled", e.spec(e.out(0)));
    e.call("activation_backward", &Backend::activation_backward, ActivationBackward{.kind = Activation::relu},
           {read(&ActivationBackward::y, e.out(0)), read(&ActivationBackward::dy, e.dy(0)),
            write(&ActivationBackward::dx, dpooled)});
    const auto dz = e.temporary("dz", Conv2d{params}.infer({e.spec(e.in(0)), e.spec(e.in(1))})[0]);
    e.call("pool_backward", &Backend::pool_backward, PoolBackward{.params = pool},
           {read(&PoolBackward::dy, dpooled), read(&PoolBackward::argmax, e.out(1)),
            read(&PoolBackward::x_widths, e.in(4)), read(&PoolBackward::y_widths, e.in(5)),
            write(&PoolBackward::dx, dz)});
    Conv2d{params}.gradients(e, dz);
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const auto convolved = Conv2d{params}.infer(in);
    return {Conv2d{params}.cost(phase, in, convolved).flops, bytes_of(in, out)};
  }

  std::string parameters() const {
    return Conv2d{params, Activation::relu}.parameters() + ", " + Pool{pool}.parameters();
  }
};

}  // namespace scrawl::ops
