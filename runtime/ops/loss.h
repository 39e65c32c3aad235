#pragma once
#include "kernels/ctc.h"
#include "kernels/loss.h"
#include "runtime/ops/operator.h"
#include "runtime/ops/softmax.h"

namespace scrawl::ops {

/// d x = saved loss gradient times the upstream gradient of each sample (kernels/loss.h).
inline void scale_loss_gradient(Emit& e, TensorId saved) {
  if (const auto dx = e.dx(0); dx != no_tensor)
    e.call("scale_rows", &Backend::scale_rows, ScaleRows{},
           {read(&ScaleRows::x, saved), read(&ScaleRows::scale, e.dy(0)), write(&ScaleRows::y, dx)});
}

/// Softmax cross-entropy that leaves its gradient in the forward (kernels/loss.h).
/// Inputs: x (N,K), targets (N) i32, [adjustment (K)]. Outputs: loss (N) f32, d_x (N,K) f32.
struct CrossEntropyLoss {
  static constexpr std::string_view name = "cross_entropy";
  float label_smoothing = 0;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 2, name, "x", "N K", in[0]);
    expect(in[1].shape == Shape{in[0].shape[0]} && in[1].type == DType::i32, name, "targets",
           fmt::format("i32 ({})", in[0].shape[0]), in[1]);
    const auto type = loss_type(in[0].type);
    return {matrix_spec(type, {in[0].shape[0]}), matrix_spec(type, in[0].shape)};
  }

  void forward(Emit& e) const {
    using Call = CrossEntropy;
    e.call("cross_entropy", &Backend::cross_entropy, Call{.label_smoothing = label_smoothing},
           {read(&Call::x, e.in(0)), read(&Call::targets, e.in(1)), read(&Call::adjustment, e.in(2)),
            write(&Call::loss, e.out(0)), write(&Call::d_x, e.training() ? e.out(1) : no_tensor)});
  }

  void backward(Emit& e) const { scale_loss_gradient(e, e.out(1)); }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {8.0 * static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("smoothing {}", label_smoothing); }

  /// Losses are f32, or f64 in a double-precision reference run.
  static DType loss_type(DType x) { return x == DType::f64 ? DType::f64 : DType::f32; }
};

/// CTC loss on logits or log-probabilities, gradient left in the forward (kernels/ctc.h).
/// Inputs: x (T,N,K), labels (N,L) i32, label_lengths (N), input_lengths (N). Outputs: loss (N), d_x (T,N,K).
struct Ctc {
  static constexpr std::string_view name = "ctc";
  std::int32_t blank = 0;
  CtcInput input = CtcInput::logits;
  Infeasible infeasible = Infeasible::zero;

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 3, name, "x", "T N K", in[0]);
    const auto n = in[0].shape[1];
    expect(in[1].shape.rank == 2 && in[1].shape[0] == n, name, "labels", fmt::format("({}, longest)", n),
           in[1]);
    expect(in[2].shape == Shape{n}, name, "label_lengths", fmt::format("({})", n), in[2]);
    expect(in[3].shape == Shape{n}, name, "input_lengths", fmt::format("({})", n), in[3]);
    const auto type = CrossEntropyLoss::loss_type(in[0].type);
    return {matrix_spec(type, {n}), matrix_spec(type, in[0].shape)};
  }

  bool supported(const Backend& b, KernelSet) const { return b.ctc_loss; }

  template <class Rebuild>
  void decompose(Rebuild& r) const {
    if (input == CtcInput::log_probabilities)
      throw Unsupported("{}: no kernel, and nothing simpler to use", name);
    const auto log_p = r.add(Softmax{SoftmaxKind::log_softmax}, {r.in(0)});
    r.replace(
        r.add(Ctc{blank, CtcInput::log_probabilities, infeasible}, {log_p[0], r.in(1), r.in(2), r.in(3)}));
  }

  void forward(Emit& e) const {
    e.call("ctc_loss", &Backend::ctc_loss, CtcLoss{.blank = blank, .input = input, .infeasible = infeasible},
           {read(&CtcLoss::x, e.in(0)), read(&CtcLoss::labels, e.in(1)),
            read(&CtcLoss::label_lengths, e.in(2)), read(&CtcLoss::input_lengths, e.in(3)),
            write(&CtcLoss::loss, e.out(0)), write(&CtcLoss::d_x, e.training() ? e.out(1) : no_tensor)});
  }

  void backward(Emit& e) const { scale_loss_gradient(e, e.out(1)); }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    const double states = 2.0 * static_cast<double>(in[1].shape[1]) + 1;
    const auto& x = in[0].shape;
    return {static_cast<double>(x[0] * x[1]) * (12 * states + 6 * static_cast<double>(x[2])),
            bytes_of(in, out)};
  }

  std::string parameters() const { return fmt::format("blank {}", blank); }
};

/// Mean over the batch: the step's loss. Input: x (N). Output: y (1). The root of differentiation.
struct Mean {
  static constexpr std::string_view name = "mean";

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 1, name, "x", "N", in[0]);
    return {matrix_spec(in[0].type, {1})};
  }

  void forward(Emit& e) const {
    e.call("mean_forward", &Backend::mean_forward, MeanForward{},
           {read(&MeanForward::x, e.in(0)), write(&MeanForward::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("mean_backward", &Backend::mean_backward, MeanBackward{},
             {read(&MeanBackward::dy, e.dy(0)), read(&MeanBackward::control, e.control()),
              write(&MeanBackward::dx, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return ""; }
};

}  // namespace scrawl::ops
