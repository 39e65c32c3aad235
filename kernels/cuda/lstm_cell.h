#pragma once
/// An LSTM's cells, one step forward or back, for whoever has multiplied by the recurrent weights. A lane
/// does N hidden units side by side.

#include <cmath>

#include "kernels/cuda/elements.h"
#include "kernels/cuda/nonlinear.h"

namespace SCRAWL_CUDA {

/// In PyTorch's order.
struct Gate {
  static constexpr int input = 0, forget = 1, candidate = 2, output = 3, count = 4;
};

/// Where a layer's cells lie, and when their sequences come to them.
struct Sequences {
  int steps, samples, directions, hidden;
  const std::int32_t* lengths;  ///< (N), or null: all T

  SCRAWL_DEVICE int length(int n) const {
    const int own = lengths ? lengths[n] : steps;
    return own < 0 ? 0 : own > steps ? steps : own;
  }
  /// The time of step s: the reverse direction starts at its sequence's end. Steps behind the end have the
  /// times behind the end.
  SCRAWL_DEVICE static int time(int s, int direction, int length) {
    return direction == 1 && s < length ? length - 1 - s : s;
  }
  /// Of (T,N,D,...).
  SCRAWL_DEVICE std::int64_t row(int t, int n, int direction) const {
    return (std::int64_t{t} * samples + n) * directions + direction;
  }
  /// Of (D,N,...).
  SCRAWL_DEVICE std::int64_t state(int direction, int n) const {
    return std::int64_t{direction} * samples + n;
  }
};

/// One number of each gate, for N units.
template <int N>
struct GateFloats {
  Floats<N> of[Gate::count];
};

/// From memory that is aligned to N floats.
template <int N>
SCRAWL_DEVICE Floats<N> load_floats(const float* from) {
  return to_floats(load_stored<N>(from));
}

/// From memory that is aligned to a single element, or zeros from nowhere.
template <int N, class T>
SCRAWL_DEVICE Floats<N> load_each(const T* from, std::int64_t at) {
  Floats<N> x;
#pragma unroll
  for (int u = 0; u < N; ++u) x[u] = from ? to_float(from[at + u]) : 0;
  return x;
}

template <int N, class T>
SCRAWL_DEVICE void store_each(T* to, std::int64_t at, const Floats<N>& x) {
#pragma unroll
  for (int u = 0; u < N; ++u) to[at + u] = from_float<T>(x[u]);
}

/// What cells read and write on the way forward.
template <class T>
struct ForwardCells {
  Sequences of;
  const T* h0;      ///< (D,N,H), or null: zero
  const float* c0;  ///< (D,N,H), or null: zero
  float* gates;     ///< (T,N,D,4,H): what inputs and biases bring; i f g o later, if `cells` are kept
  float* cells;     ///< (T,N,D,H): c for backward, or null
  T* y;             ///< (T,N,D,H)
  T* hn;            ///< (D,N,H), or null
  float* cn;        ///< (D,N,H), or null

  template <int N>
  struct State {
    Floats<N> h, c;
  };

  /// The state before the first step; the last, where there are none.
  template <int N>
  SCRAWL_DEVICE State<N> begin(int direction, int n, int unit, int length) const {
    const auto at = of.state(direction, n) * of.hidden + unit;
    const State<N> state{load_each<N>(h0, at), load_each<N>(c0, at)};
    if (length == 0) end(at, state);
    return state;
  }

  /// What the inputs bring to a cell at time t.
  template <int N>
  SCRAWL_DEVICE GateFloats<N> load(int t, int n, int direction, int unit) const {
    const float* const from = gates + of.row(t, n, direction) * Gate::count * of.hidden + unit;
    GateFloats<N> sums;
#pragma unroll
    for (int gate = 0; gate < Gate::count; ++gate)
      sums.of[gate] = load_floats<N>(from + std::int64_t{gate} * of.hidden);
    return sums;
  }

  /// Step s, from complete sums: `state` goes from step s - 1 to s.
  template <int N>
  SCRAWL_DEVICE void step(int s, int direction, int n, int unit, int length, const GateFloats<N>& sums,
                          State<N>& state) const {
    const auto row = of.row(of.time(s, direction, length), n, direction), at = row * of.hidden + unit;
    GateFloats<N> act;
#pragma unroll
    for (int u = 0; u < N; ++u) {
      const float i = activated(Activation::sigmoid, sums.of[Gate::input][u]),
                  f = activated(Activation::sigmoid, sums.of[Gate::forget][u]),
                  g = activated(Activation::tanh, sums.of[Gate::candidate][u]),
                  o = activated(Activation::sigmoid, sums.of[Gate::output][u]);
      state.c[u] = f * state.c[u] + i * g;
      state.h[u] = o * tanhf(state.c[u]);
      act.of[Gate::input][u] = i;
      act.of[Gate::forget][u] = f;
      act.of[Gate::candidate][u] = g;
      act.of[Gate::output][u] = o;
    }
    store_each(y, at, state.h);
    if (cells) {
      store_floats(cells + at, state.c);
#pragma unroll
      for (int gate = 0; gate < Gate::count; ++gate)
        store_floats(gates + (row * Gate::count + gate) * of.hidden + unit, act.of[gate]);
    }
    if (s == length - 1) end(of.state(direction, n) * of.hidden + unit, state);
  }

  /// A step behind the end.
  template <int N>
  SCRAWL_DEVICE void pass(int s, int direction, int n, int unit) const {
    store_each(y, of.row(s, n, direction) * of.hidden + unit, Floats<N>{});
  }

 private:
  template <int N>
  SCRAWL_DEVICE void end(std::int64_t at, const State<N>& state) const {
    if (hn) store_each(hn, at, state.h);
    if (cn) store_each(cn, at, state.c);
  }
};

/// What cells read and write on the way back.
template <class T>
struct BackwardCells {
  Sequences of;
  const float* c0;     ///< (D,N,H), or null: zero
  const float* gates;  ///< (T,N,D,4,H): i f g o
  const float* cells;  ///< (T,N,D,H)
  const T* dy;         ///< (T,N,D,H)
  const T* dhn;        ///< (D,N,H), or null: zero
  const float* dcn;    ///< (D,N,H), or null: zero
  T* dgates;           ///< (T,N,D,4,H): of the sums that enter the gates, zero behind the ends
  T* dh0;              ///< (D,N,H), or null
  float* dc0;          ///< (D,N,H), or null

  /// A cell's numbers of step s.
  template <int N>
  struct Kept {
    GateFloats<N> act;
    Floats<N> c, c_before, dy;
  };
  template <int N>
  struct Gradient {
    Floats<N> h, c;
  };

  template <int N>
  SCRAWL_DEVICE Kept<N> load(int s, int direction, int n, int unit, int length) const {
    const auto row = of.row(of.time(s, direction, length), n, direction), at = row * of.hidden + unit;
    Kept<N> kept;
#pragma unroll
    for (int gate = 0; gate < Gate::count; ++gate)
      kept.act.of[gate] = load_floats<N>(gates + (row * Gate::count + gate) * of.hidden + unit);
    kept.c = load_floats<N>(cells + at);
    kept.c_before =
        s > 0 ? load_floats<N>(cells + of.row(of.time(s - 1, direction, length), n, direction) * of.hidden +
                               unit)
              : load_each<N>(c0, of.state(direction, n) * of.hidden + unit);
    kept.dy = load_each<N>(dy, at);
    return kept;
  }

  /// Of the state after the last step.
  template <int N>
  SCRAWL_DEVICE Gradient<N> begin(int direction, int n, int unit) const {
    const auto at = of.state(direction, n) * of.hidden + unit;
    return {load_each<N>(dhn, at), load_each<N>(dcn, at)};
  }

  /// Step s. `gradient`, of the state after it, becomes that of the cell before it; its h is to come from the
  /// gradients of the gates, which are returned.
  template <int N>
  SCRAWL_DEVICE GateFloats<N> step(int s, int direction, int n, int unit, int length, const Kept<N>& kept,
                                   Gradient<N>& gradient) const {
    GateFloats<N> d;
#pragma unroll
    for (int u = 0; u < N; ++u) {
      const float i = kept.act.of[Gate::input][u], f = kept.act.of[Gate::forget][u],
                  g = kept.act.of[Gate::candidate][u], o = kept.act.of[Gate::output][u],
                  tanh_c = tanhf(kept.c[u]), dh = gradient.h[u] + kept.dy[u],
                  dc = gradient.c[u] + dh * o * (1 - tanh_c * tanh_c);
      d.of[Gate::input][u] = dc * g * i * (1 - i);
      d.of[Gate::forget][u] = dc * kept.c_before[u] * f * (1 - f);
      d.of[Gate::candidate][u] = dc * i * (1 - g * g);
      d.of[Gate::output][u] = dh * tanh_c * o * (1 - o);
      gradient.c[u] = dc * f;
    }
    store(of.time(s, direction, length), direction, n, unit, d);
    return d;
  }

  /// A step behind the end.
  template <int N>
  SCRAWL_DEVICE void pass(int s, int direction, int n, int unit) const {
    store(s, direction, n, unit, GateFloats<N>{});
  }

  /// The gradient of the state before the first step.
  template <int N>
  SCRAWL_DEVICE void end(int direction, int n, int unit, const Gradient<N>& gradient) const {
    const auto at = of.state(direction, n) * of.hidden + unit;
    if (dh0) store_each(dh0, at, gradient.h);
    if (dc0) store_each(dc0, at, gradient.c);
  }

 private:
  template <int N>
  SCRAWL_DEVICE void store(int t, int direction, int n, int unit, const GateFloats<N>& d) const {
    T* const to = dgates + of.row(t, n, direction) * Gate::count * of.hidden + unit;
#pragma unroll
    for (int gate = 0; gate < Gate::count; ++gate)
      store_floats(to + std::int64_t{gate} * of.hidden, d.of[gate]);
  }
};

}  // namespace SCRAWL_CUDA
