#include "kernels/lstm.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/activation.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

enum Kept : std::int64_t { input, forget, candidate, output, cell, kept };

double logistic(double x) { return activate(Activation::sigmoid, x); }

/// (D, T, N, kept, H): what forward keeps of each step.
Shape reserve_shape(const View& x, const View& w_hh) {
  return {w_hh.shape[0], x.shape[0], x.shape[1], kept, w_hh.shape[2]};
}

/// Time of step s of a sequence: the reverse direction starts at its end.
std::int64_t time_of(std::int64_t s, std::int64_t direction, std::int64_t length) {
  return direction == 0 ? s : length - 1 - s;
}

/// The state, zero where it is absent.
Tensor state(const View& view, const Shape& shape) { return view.present() ? Tensor(view) : Tensor(shape); }

/// Inputs of either pass.
template <class Call>
struct Layer {
  explicit Layer(const Call& call)
      : x(call.x),
        lengths(call.lengths),
        w_ih(call.w_ih),
        w_hh(call.w_hh),
        b(call.b),
        steps(x.extent(0)),
        samples(x.extent(1)),
        inputs(x.extent(2)),
        directions(w_hh.extent(0)),
        hidden(w_hh.extent(2)),
        h0(state(call.h0, {directions, samples, hidden})),
        c0(state(call.c0, {directions, samples, hidden})) {}

  Tensor x, lengths, w_ih, w_hh, b;
  std::int64_t steps, samples, inputs, directions, hidden;
  Tensor h0, c0;
};

}  // namespace

std::int64_t lstm_reserve_bytes(const View& x, const View& w_hh) {
  return reserve_shape(x, w_hh).count() * static_cast<std::int64_t>(sizeof(double));
}

void run(const LstmForward& call) {
  const Layer layer(call);
  const auto& [x, lengths, w_ih, w_hh, b, steps, samples, inputs, directions, hidden, h0, c0] = layer;
  Tensor h = h0, c = c0, y(call.y.shape), reserve(reserve_shape(call.x, call.w_hh));
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < samples; ++n) {
      const auto length = valid(lengths, n, steps);
      for (std::int64_t s = 0; s < length; ++s) {
        const auto t = time_of(s, d, length);
        Tensor gates(Shape{4, hidden});
        for (std::int64_t gate = 0; gate < 4; ++gate)
          for (std::int64_t j = 0; j < hidden; ++j) {
            const auto row = gate * hidden + j;
            double sum = b(d, row);
            for (std::int64_t i = 0; i < inputs; ++i) sum += w_ih(d, row, i) * x(t, n, i);
            for (std::int64_t i = 0; i < hidden; ++i) sum += w_hh(d, row, i) * h(d, n, i);
            gates(gate, j) = gate == candidate ? std::tanh(sum) : logistic(sum);
          }
        for (std::int64_t j = 0; j < hidden; ++j) {
          c(d, n, j) = gates(forget, j) * c(d, n, j) + gates(input, j) * gates(candidate, j);
          h(d, n, j) = gates(output, j) * std::tanh(c(d, n, j));
          y(t, n, d * hidden + j) = h(d, n, j);
          for (std::int64_t gate = 0; gate < 4; ++gate) reserve(d, t, n, gate, j) = gates(gate, j);
          reserve(d, t, n, cell, j) = c(d, n, j);
        }
      }
    }
  y.store(call.y);
  h.store(call.hn);
  c.store(call.cn);
  if (call.reserve.present())
    std::ranges::copy(std::as_bytes(reserve.values()), static_cast<std::byte*>(call.reserve.data));
}

void run(const LstmBackward& call) {
  const Layer layer(call);
  const auto& [x, lengths, w_ih, w_hh, b, steps, samples, inputs, directions, hidden, h0, c0] = layer;
  const Tensor y(call.y), dy(call.dy);
  Tensor reserve(reserve_shape(call.x, call.w_hh));
  const auto kept = std::as_writable_bytes(reserve.values());
  std::copy_n(static_cast<const std::byte*>(call.reserve.data), kept.size(), kept.begin());

  Tensor dx(x.shape()), dw_ih(w_ih.shape()), dw_hh(w_hh.shape()), db(b.shape());
  Tensor dh = state(call.dhn, h0.shape()), dc = state(call.dcn, c0.shape());
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < samples; ++n) {
      const auto length = valid(lengths, n, steps);
      for (std::int64_t s = length - 1; s >= 0; --s) {
        const auto t = time_of(s, d, length), before = time_of(s - 1, d, length);
        const auto previous_h = [&](auto j) { return s > 0 ? y(before, n, d * hidden + j) : h0(d, n, j); };
        const auto previous_c = [&](auto j) { return s > 0 ? reserve(d, before, n, cell, j) : c0(d, n, j); };

        Tensor dgates(Shape{4 * hidden});  // of the sums that enter the gates' nonlinearities
        for (std::int64_t j = 0; j < hidden; ++j) {
          const auto of = [&](Kept k) { return reserve(d, t, n, k, j); };
          const double tanh_c = std::tanh(of(cell)), dh_t = dh(d, n, j) + dy(t, n, d * hidden + j);
          const double dc_t = dc(d, n, j) + dh_t * of(output) * (1 - tanh_c * tanh_c);
          dgates(input * hidden + j) = dc_t * of(candidate) * of(input) * (1 - of(input));
          dgates(forget * hidden + j) = dc_t * previous_c(j) * of(forget) * (1 - of(forget));
          dgates(candidate * hidden + j) = dc_t * of(input) * (1 - of(candidate) * of(candidate));
          dgates(output * hidden + j) = dh_t * tanh_c * of(output) * (1 - of(output));
          dc(d, n, j) = dc_t * of(forget);
          dh(d, n, j) = 0;
        }
        for (std::int64_t row = 0; row < 4 * hidden; ++row) {
          db(d, row) += dgates(row);
          for (std::int64_t i = 0; i < inputs; ++i) {
            dw_ih(d, row, i) += dgates(row) * x(t, n, i);
            dx(t, n, i) += dgates(row) * w_ih(d, row, i);
          }
          for (std::int64_t i = 0; i < hidden; ++i) {
            dw_hh(d, row, i) += dgates(row) * previous_h(i);
            dh(d, n, i) += dgates(row) * w_hh(d, row, i);
          }
        }
      }
    }
  dx.store(call.dx);
  dh.store(call.dh0);
  dc.store(call.dc0);
  dw_ih.store(call.dw_ih);
  dw_hh.store(call.dw_hh);
  db.store(call.db);
}

}  // namespace scrawl::reference
