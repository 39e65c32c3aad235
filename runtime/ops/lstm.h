#pragma once
#include "kernels/lstm.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// One LSTM layer in one or two directions (kernels/lstm.h).
/// Inputs: x (T,N,I), w_ih (D,4H,I), w_hh (D,4H,H), b (D,4H), [lengths (N)], [h0 (D,N,H)], [c0 (D,N,H)].
/// Outputs: y (T,N,D H), hn, cn (D,N,H), and a reserve that only the backward reads.
struct Lstm {
  static constexpr std::string_view name = "lstm";

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 3, name, "x", "T N I", in[0]);
    expect(in[1].shape.rank == 3 && in[1].shape[2] == in[0].shape[2] && in[1].shape[1] % 4 == 0, name, "w_ih",
           fmt::format("(directions, 4 hidden, {})", in[0].shape[2]), in[1]);
    const auto directions = in[1].shape[0], hidden = in[1].shape[1] / 4;
    expect(in[2].shape == Shape{directions, 4 * hidden, hidden}, name, "w_hh",
           fmt::format("({}, {}, {})", directions, 4 * hidden, hidden), in[2]);
    const Shape state{directions, in[0].shape[1], hidden};
    return {matrix_spec(in[0].type, {in[0].shape[0], in[0].shape[1], directions * hidden}),
            matrix_spec(in[0].type, state), matrix_spec(DType::f32, state), matrix_spec(DType::u8, {0})};
  }

  void forward(Emit& e) const {
    using Call = LstmForward;
    e.call("lstm_forward", &Backend::lstm_forward, Call{},
           {read(&Call::x, e.in(0)), read(&Call::w_ih, e.in(1)), read(&Call::w_hh, e.in(2)),
            read(&Call::b, e.in(3)), read(&Call::lengths, e.in(4)), read(&Call::h0, e.in(5)),
            read(&Call::c0, e.in(6)), write(&Call::y, e.out(0)), write(&Call::hn, e.used(1)),
            write(&Call::cn, e.used(2)), write(&Call::reserve, e.training() ? e.out(3) : no_tensor)});
  }

  void backward(Emit& e) const {
    using Call = LstmBackward;
    e.call("lstm_backward", &Backend::lstm_backward, Call{},
           {read(&Call::x, e.in(0)), read(&Call::w_ih, e.in(1)), read(&Call::w_hh, e.in(2)),
            read(&Call::b, e.in(3)), read(&Call::lengths, e.in(4)), read(&Call::h0, e.in(5)),
            read(&Call::c0, e.in(6)), read(&Call::y, e.out(0)), read(&Call::reserve, e.out(3)),
            read(&Call::dy, e.dy(0)), read(&Call::dhn, e.dy(1)), read(&Call::dcn, e.dy(2)),
            write(&Call::dx, e.dx(0)), write(&Call::dw_ih, e.dx(1)), write(&Call::dw_hh, e.dx(2)),
            write(&Call::db, e.dx(3)), write(&Call::dh0, e.dx(5)), write(&Call::dc0, e.dx(6))});
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const auto& x = in[0].shape;
    const auto gates = in[1].shape[0] * in[1].shape[1];
    const double product =
        2.0 * static_cast<double>(x[0] * x[1] * gates) * static_cast<double>(x[2] + in[2].shape[2]);
    const double passes = phase == Phase::backward ? 2 : 1;
    return {passes * product, passes * bytes_of(in, out)};
  }

  std::string parameters() const { return ""; }
};

}  // namespace scrawl::ops
