#pragma once
#include "kernels/pool.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Max or average pooling (kernels/pool.h). Inputs: x (N,C,H,W), [x_widths (N)], [y_widths (N)].
/// Outputs: y (N,C,P,Q) and, for max, argmax, which only the backward reads.
struct Pool {
  static constexpr std::string_view name = "pool";
  PoolParams params;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 4, name, "x", "N C H W", in[0]);
    const auto shape = pool_output(params, in[0].shape);
    Specs out{image_spec(in[0].type, shape)};
    if (params.kind == PoolKind::max) out.push_back(image_spec(argmax_type(params), shape));
    return out;
  }

  void forward(Emit& e) const {
    e.call("pool_forward", &Backend::pool_forward, PoolForward{.params = params},
           {read(&PoolForward::x, e.in(0)), read(&PoolForward::x_widths, e.in(1)),
            read(&PoolForward::y_widths, e.in(2)), write(&PoolForward::y, e.out(0)),
            write(&PoolForward::argmax, e.training() ? argmax(e) : no_tensor)});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("pool_backward", &Backend::pool_backward, PoolBackward{.params = params},
             {read(&PoolBackward::dy, e.dy(0)), read(&PoolBackward::argmax, argmax(e)),
              read(&PoolBackward::x_widths, e.in(1)), read(&PoolBackward::y_widths, e.in(2)),
              write(&PoolBackward::dx, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {static_cast<double>(out[0].shape.count() * params.window_h * params.window_w), bytes_of(in, out)};
  }

  std::string parameters() const {
    return fmt::format("{} {}x{} stride {}x{} pad {}x{}", params.kind == PoolKind::max ? "max" : "average",
                       params.window_h, params.window_w, params.stride_h, params.stride_w, params.pad_h,
                       params.pad_w);
  }

 private:
  TensorId argmax(Emit& e) const { return params.kind == PoolKind::max ? e.out(1) : no_tensor; }
};

/// Valid widths through a convolution or pooling window (kernels/pool.h). Input: widths (N). Output: (N).
struct ScaleWidths {
  static constexpr std::string_view name = "scale_widths";
  WindowWidths window;

  Specs infer(const Specs& in) const { return {in[0]}; }

  void forward(Emit& e) const {
    e.call("window_widths", &Backend::window_widths, window,
           {read(&WindowWidths::widths, e.in(0)), write(&WindowWidths::out, e.out(0))});
  }

  void backward(Emit&) const {}  // widths are numbers of pixels: nothing flows back

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    return phase == Phase::backward ? Cost{}
                                    : Cost{3.0 * static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("extent {} stride {}", window.extent, window.stride); }
};

}  // namespace scrawl::ops
