#pragma once
#include "runtime/ops/batch_norm.h"
#include "runtime/ops/pool.h"

namespace scrawl::ops {

/// Batch norm, ReLU and max pooling in one pass (kernels/norm.h).
/// Inputs: x (N,C,H,W), gamma, beta, running_mean, running_variance (C), [x_widths (N)], [y_widths (N)].
/// Outputs: y (N,C,P,Q), and for the backward argmax like y, mean and variance (C).
struct BatchNormPool {
  static constexpr std::string_view name = "batch_norm_pool";
  float epsilon = 1e-5f, momentum = 0.1f;
  PoolParams pool;

  Specs infer(const Specs& in) const {
    auto normalised = BatchNorm{epsilon, momentum, Activation::relu}.infer(in);
    auto out = Pool{pool}.infer({normalised[0]});
    return {out[0], out.at(1), normalised[1], normalised[2]};
  }

  bool supported(const Backend& b, KernelSet kernels) const {
    return kernels != KernelSet::vendor && b.batch_norm_pool_forward && b.batch_norm_pool_backward;
  }

  template <class Rebuild>
  void decompose(Rebuild& r) const {
    const auto normalised = r.add(BatchNorm{epsilon, momentum, Activation::relu},
                                  {r.in(0), r.in(1), r.in(2), r.in(3), r.in(4), r.in(5)});
    const auto pooled = r.add(Pool{pool}, {normalised[0], r.in(5), r.in(6)});
    r.replace({pooled[0], pooled[1], normalised[1], normalised[2]});
  }

  void forward(Emit& e) const {
    if (!e.training()) {
      const auto z = e.temporary("z", e.spec(e.in(0)));
      e.call("batch_norm_inference", &Backend::batch_norm_inference,
             BatchNormInference{.epsilon = epsilon, .activation = Activation::relu},
             {read(&BatchNormInference::x, e.in(0)), read(&BatchNormInference::gamma, e.in(1)),
              read(&BatchNormInference::beta, e.in(2)), read(&BatchNormInference::mean, e.in(3)),
              read(&BatchNormInference::variance, e.in(4)), read(&BatchNormInference::widths, e.in(5)),
              write(&BatchNormInference::y, z)});
      e.call("pool_forward", &Backend::pool_forward, PoolForward{.params = pool},
             {read(&PoolForward::x, z), read(&PoolForward::x_widths, e.in(5)),
              read(&PoolForward::y_widths, e.in(6)), write(&PoolForward::y, e.out(0))});
      return;
    }
    using Call = BatchNormPoolForward;
    e.call("batch_norm_pool_forward", &Backend::batch_norm_pool_forward,
           Call{.epsilon = epsilon, .pool = pool},
           {read(&Call::x, e.in(0)), read(&Call::gamma, e.in(1)), read(&Call::beta, e.in(2)),
            read(&Call::x_widths, e.in(5)), read(&Call::y_widths, e.in(6)), write(&Call::y, e.out(0)),
            write(&Call::argmax, e.out(1)), write(&Call::mean, e.out(2)), write(&Call::variance, e.out(3))});
  }

  void backward(Emit& e) const {
    using Call = BatchNormPoolBackward;
    e.call("batch_norm_pool_backward", &Backend::batch_norm_pool_backward,
           Call{.epsilon = epsilon, .pool = pool},
           {read(&Call::x, e.in(0)), read(&Call::y, e.out(0)), read(&Call::dy, e.dy(0)),
            read(&Call::argmax, e.out(1)), read(&Call::gamma, e.in(1)), read(&Call::mean, e.out(2)),
            read(&Call::variance, e.out(3)), read(&Call::x_widths, e.in(5)), read(&Call::y_widths, e.in(6)),
            write(&Call::dx, e.dx(0)), write(&Call::dgamma, e.dx(1)), write(&Call::dbeta, e.dx(2))});
  }

  void update(Emit& e) const {
    update_running(e, momentum, e.in(3), e.in(4), e.out(2), e.out(3), e.spec(e.in(0)).shape, e.in(5));
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const double n = static_cast<double>(in[0].shape.count());
    return phase == Phase::backward ? Cost{8 * n, 2 * bytes_of(in, out)} : Cost{8 * n, bytes_of(in, out)};
  }

  std::string parameters() const {
    return fmt::format("epsilon {} relu, max {}x{}", epsilon, pool.window_h, pool.window_w);
  }
};

/// Batch norm folded into a convolution's weights (kernels/norm.h), for inference only.
/// Inputs: w (K,...), [b], gamma, beta, mean, variance (K). Outputs: folded w and b, both f32.
struct FoldNorm {
  static constexpr std::string_view name = "fold_batch_norm";
  float epsilon = 1e-5f;

  Specs infer(const Specs& in) const { return {in[0], in[2]}; }

  void forward(Emit& e) const {
    e.call("fold_batch_norm", &Backend::fold_batch_norm, FoldBatchNorm{.epsilon = epsilon},
           {read(&FoldBatchNorm::w, e.in(0)), read(&FoldBatchNorm::b, e.in(1)),
            read(&FoldBatchNorm::gamma, e.in(2)), read(&FoldBatchNorm::beta, e.in(3)),
            read(&FoldBatchNorm::mean, e.in(4)), read(&FoldBatchNorm::variance, e.in(5)),
            write(&FoldBatchNorm::folded_w, e.out(0)), write(&FoldBatchNorm::folded_b, e.out(1))});
  }

  void backward(Emit&) const { throw InternalError("{}: inference only", name); }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("epsilon {}", epsilon); }
};

}  // namespace scrawl::ops
