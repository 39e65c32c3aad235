#pragma once
#include "runtime/ops/batch_norm_pool.h"
#include "runtime/ops/conv2d.h"

namespace scrawl::ops {

/// Convolution, then batch norm, ReLU and max pooling: the convolution leaves the moments of what it writes,
/// which then is read once. Inputs as Conv2d, then gamma, beta, running_mean, running_variance (K),
/// [pooled_widths (N)]. Outputs as BatchNormPool, then z (N,K,P,Q), what was convolved, for the backward.
struct Conv2dBatchNormPool {
  static constexpr std::string_view name = "conv2d_batch_norm_pool";
  Conv2dParams params;
  float epsilon = 1e-5f, momentum = 0.1f;
  PoolParams pool;

  Specs infer(const Specs& in) const {
    const auto z = Conv2d{params}.infer(in)[0];
    auto out = norm().infer({z, in[5], in[6], in[7], in[8]});
    out.push_back(z);
    return out;
  }

  bool supported(const Backend& b, KernelSet kernels) const {
    return kernels != KernelSet::vendor && b.conv2d_moments_forward && b.batch_norm_pool_apply &&
           b.batch_norm_pool_backward;
  }

  template <class Rebuild>
  void decompose(Rebuild& r) const {
    const auto z = r.add(Conv2d{params}, {r.in(0), r.in(1), r.in(2), r.in(3), r.in(4)})[0];
    auto out = r.add(norm(), {z, r.in(5), r.in(6), r.in(7), r.in(8), r.in(4), r.in(9)});
    out.push_back(z);
    r.replace(std::move(out));
  }

  void forward(Emit& e) const {
    if (e.training()) {
      using Call = Conv2dMomentsForward;
      e.call("conv2d_moments_forward", &Backend::conv2d_moments_forward, Call{.params = params},
             {read(&Call::x, e.in(0)), read(&Call::w, e.in(1)), read(&Call::b, e.in(2)),
              read(&Call::y_widths, e.in(4)), write(&Call::y, e.out(4)), write(&Call::mean, e.out(2)),
              write(&Call::variance, e.out(3))});
    } else {
      using Call = Conv2dForward;
      e.call("conv2d_forward", &Backend::conv2d_forward,
             Call{.params = params, .phase = KernelPhase::inference},
             {read(&Call::x, e.in(0)), read(&Call::w, e.in(1)), read(&Call::b, e.in(2)),
              read(&Call::y_widths, e.in(4)), write(&Call::y, e.out(4))});
    }
    using Call = BatchNormPoolApply;
    e.call("batch_norm_pool_apply", &Backend::batch_norm_pool_apply, Call{.epsilon = epsilon, .pool = pool},
           {read(&Call::x, e.out(4)), read(&Call::gamma, e.in(5)), read(&Call::beta, e.in(6)),
            read(&Call::mean, e.training() ? e.out(2) : e.in(7)),
            read(&Call::variance, e.training() ? e.out(3) : e.in(8)), read(&Call::x_widths, e.in(4)),
            read(&Call::y_widths, e.in(9)), write(&Call::y, e.out(0)),
            write(&Call::argmax, e.training() ? e.out(1) : no_tensor)});
  }

  void backward(Emit& e) const {
    const auto dz = e.temporary("dz", e.spec(e.out(4)));
    using Call = BatchNormPoolBackward;
    e.call("batch_norm_pool_backward", &Backend::batch_norm_pool_backward,
           Call{.epsilon = epsilon, .pool = pool},
           {read(&Call::x, e.out(4)), read(&Call::y, e.out(0)), read(&Call::dy, e.dy(0)),
            read(&Call::argmax, e.out(1)), read(&Call::gamma, e.in(5)), read(&Call::mean, e.out(2)),
            read(&Call::variance, e.out(3)), read(&Call::x_widths, e.in(4)), read(&Call::y_widths, e.in(9)),
            write(&Call::dx, dz), write(&Call::dgamma, e.dx(5)), write(&Call::dbeta, e.dx(6))});
    Conv2d{params}.gradients(e, dz);
  }

  void update(Emit& e) const {
    update_running(e, momentum, e.in(7), e.in(8), e.out(2), e.out(3), e.spec(e.out(4)).shape, e.in(4));
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const auto& z = out[4];
    const auto normalised = norm().cost(phase, {z}, {out[0], out[1]});
    return {Conv2d{params}.cost(phase, in, {z}).flops + normalised.flops,
            (phase == Phase::backward ? 2 : 1) * bytes_of(in, out)};
  }

  std::string parameters() const { return Conv2d{params}.parameters() + ", " + norm().parameters(); }

 private:
  BatchNormPool norm() const { return {epsilon, momentum, pool}; }
};

}  // namespace scrawl::ops
