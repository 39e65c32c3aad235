#pragma once
/// The states of one label in CTC, and their probabilities frame by frame, 16 pairs of states at a time.
///
/// A label of L symbols has the states blank_0 symbol_0 blank_1 symbol_1 ... blank_L. Lane n of a vector pair
/// holds blank_n and symbol_n, so that the only exchange between lanes is symbol_{n-1} forward, n + 1
/// backward. A probability is a mantissa and an exponent of its own, both floats: no state is lost however
/// far it lies below the others, and no exponential or logarithm is on the chain from frame to frame. The
/// exponent is an exact integer up to 2^24; beyond, its rounding is the relative error of the logarithm.

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// The exponent of a probability of zero; no sum of finite logits' exponents comes near.
inline constexpr float never = -3e38f;

/// 16 probabilities, mantissa 2^exponent.
using Probabilities = Scaled;

inline Probabilities impossible() { return {f32x16{}, broadcast(never)}; }

[[gnu::always_inline]] inline Probabilities operator+(Probabilities a, Probabilities b) {
  const f32x16 e = max(a.exponent, b.exponent);
  return {scale_by_power(a.mantissa, a.exponent - e) + scale_by_power(b.mantissa, b.exponent - e), e};
}

[[gnu::always_inline]] inline Probabilities sum(Probabilities a, Probabilities b, Probabilities c) {
  const f32x16 e = max(max(a.exponent, b.exponent), c.exponent);
  return {scale_by_power(a.mantissa, a.exponent - e) +
              (scale_by_power(b.mantissa, b.exponent - e) + scale_by_power(c.mantissa, c.exponent - e)),
          e};
}

[[gnu::always_inline]] inline Probabilities operator*(Probabilities a, Probabilities b) {
  return {a.mantissa * b.mantissa, max(a.exponent + b.exponent, broadcast(never))};
}

/// Times 2^exponent, for the exponents 0 and never.
[[gnu::always_inline]] inline Probabilities barred(Probabilities p, f32x16 exponent) {
  return {p.mantissa, p.exponent + exponent};
}

/// The same with a mantissa in [1, 2); NaN stays NaN. Zero gets a mantissa too, beside an exponent that
/// counts as never.
[[gnu::always_inline]] inline Probabilities normalised(Probabilities p) {
  const i32x16 bits = (i32x16)p.mantissa;
  return {(f32x16)((bits & 0x007fffff) | 0x3f800000) + (p.mantissa - p.mantissa),
          p.exponent + __builtin_convertvector((bits >> 23) - 127, f32x16)};
}

/// An array of probabilities in memory, by vector.
struct ProbabilityArray {
  float *mantissa, *exponent;

  ProbabilityArray(Workspace& workspace, std::int64_t count)
      : mantissa(workspace.take<float>(count)), exponent(workspace.take<float>(count)) {}

  [[gnu::always_inline]] Probabilities operator[](std::int64_t v) const {
    return {load(mantissa + v * lanes), load(exponent + v * lanes)};
  }
  [[gnu::always_inline]] void set(std::int64_t v, Probabilities p) const {
    store(mantissa + v * lanes, p.mantissa);
    store(exponent + v * lanes, p.exponent);
  }
  [[gnu::always_inline]] Probabilities every_lane(std::int64_t element) const {
    return {broadcast(mantissa[element]), broadcast(exponent[element])};
  }
  ProbabilityArray from(std::int64_t element) const {
    ProbabilityArray later = *this;
    later.mantissa += element;
    later.exponent += element;
    return later;
  }
};

/// The label of one sample.
class Lattice {
 public:
  /// Room for labels of up to `longest` symbols.
  Lattice(Workspace& workspace, std::int64_t longest)
      : symbols_(workspace.take<std::int32_t>(padded(longest))),
        absence_(workspace.take<float>(padded(longest))),
        repetition_(workspace.take<float>(padded(longest))) {}

  static std::int64_t padded(std::int64_t length) { return (length + lanes) / lanes * lanes; }  // L + 1 pairs

  void set(const std::int32_t* label, std::int64_t length, std::int32_t blank) {
    length_ = length;
    for (std::int64_t n = 0; n < padded(length); ++n) {
      symbols_[n] = n < length ? label[n] : blank;
      absence_[n] = n < length ? 0 : never;
      repetition_[n] = n > 0 && n < length && label[n] != label[n - 1] ? 0 : never;
    }
  }

  std::int64_t length() const { return length_; }
  std::int64_t vectors() const { return padded(length_) / lanes; }
  const std::int32_t* symbols() const { return symbols_; }

  /// The class of each lane's symbol; the blank where there is none.
  [[gnu::always_inline]] i32x16 classes(std::int64_t v) const { return load(symbols_ + v * lanes); }
  /// Exponents: 0 where there is a symbol, else never.
  [[gnu::always_inline]] f32x16 absence(std::int64_t v) const { return load(absence_ + v * lanes); }
  /// Exponents: 0 where a path may go from the symbol before to this one without a blank between, else never.
  [[gnu::always_inline]] f32x16 repetition(std::int64_t v) const { return load(repetition_ + v * lanes); }

 private:
  std::int64_t length_ = 0;
  std::int32_t* symbols_;
  float *absence_, *repetition_;
};

/// Probabilities of a lattice's states at one frame.
struct States {
  ProbabilityArray blanks, symbols;

  States(Workspace& workspace, std::int64_t count) : blanks(workspace, count), symbols(workspace, count) {}

  States from(std::int64_t element) const {
    States later = *this;
    later.blanks = blanks.from(element);
    later.symbols = symbols.from(element);
    return later;
  }

  /// All impossible but for blank_n, which is certain.
  void start(std::int64_t vectors, std::int64_t n) const {
    for (std::int64_t v = 0; v < vectors; ++v) {
      blanks.set(v, impossible());
      symbols.set(v, impossible());
    }
    blanks.mantissa[n] = 1;
    blanks.exponent[n] = 0;
  }
};

/// Lane n of the result is lane n - 1, the first one from the vector before.
[[gnu::always_inline]] inline Probabilities shifted_up(Probabilities before, Probabilities p) {
  const i32x16 from = lane_numbers() + 15;
  return {__builtin_shuffle(before.mantissa, p.mantissa, from),
          __builtin_shuffle(before.exponent, p.exponent, from)};
}

/// Lane n of the result is lane n + 1, the last one from the vector after.
[[gnu::always_inline]] inline Probabilities shifted_down(Probabilities p, Probabilities after) {
  const i32x16 from = lane_numbers() + 1;
  return {__builtin_shuffle(p.mantissa, after.mantissa, from),
          __builtin_shuffle(p.exponent, after.exponent, from)};
}

/// Growth of a mantissa between normalisations is bounded: by 3 x 1.42 a frame upwards, 0.35 downwards.
inline constexpr std::int64_t frames_between_normalisations = 8;

/// A frame forward, in place: emit(v, Probabilities of blanks and of symbols before the frame's emission)
/// gives them after it.
template <class Emit>
[[gnu::always_inline]] inline void advance(const Lattice& lattice, const States& states, Emit emit) {
  for (auto v = lattice.vectors() - 1; v >= 0; --v) {
    const Probabilities blanks = states.blanks[v], symbols = states.symbols[v];
    const Probabilities before = shifted_up(v > 0 ? states.symbols[v - 1] : impossible(), symbols);
    const auto [new_blanks, new_symbols] =
        emit(v, blanks + before, sum(symbols, blanks, barred(before, lattice.repetition(v))));
    states.blanks.set(v, new_blanks);
    states.symbols.set(v, new_symbols);
  }
}

/// A frame backward, in place: states hold the probability of the rest of the label from each state's
/// emission on; emit(v, blanks, symbols) gives them with this frame's emission.
template <class Emit>
[[gnu::always_inline]] inline void retreat(const Lattice& lattice, const States& states, Emit emit) {
  const auto entered = [&](std::int64_t v) {  // from the symbol before: by the blank, or past it
    return states.blanks[v] + barred(states.symbols[v], lattice.repetition(v));
  };
  Probabilities here = entered(0);
  for (std::int64_t v = 0; v < lattice.vectors(); ++v) {
    const Probabilities after = v + 1 < lattice.vectors() ? entered(v + 1) : impossible();
    const Probabilities blanks = states.blanks[v], symbols = states.symbols[v];
    const auto [new_blanks, new_symbols] = emit(v, blanks + symbols, symbols + shifted_down(here, after));
    states.blanks.set(v, new_blanks);
    states.symbols.set(v, new_symbols);
    here = after;
  }
}

}  // namespace scrawl::cpu
