#pragma once
/// The two chains of CTC over the frames of a sample: alpha's, and beta's, which is alpha's of the label and
/// the frames read backwards. Before they cross, each keeps what enters its states; beyond, it turns what the
/// other has kept into the states' weights.
///
/// Pairs of states (blank j, symbol j) need of their neighbours the symbol before only. Cost of a step: one
/// shuffle of 8 bytes; a barrier of the side's warps, if it has several.

#include "kernels/ctc.h"
#include "kernels/cuda/ctc_states.h"
#include "kernels/cuda/device/warp.h"

namespace SCRAWL_CUDA::ctc {

struct Batch {
  CtcInput input;
  Infeasible infeasible;
  DType type;  ///< of x
  const void* x;
  const std::int32_t *labels, *label_lengths, *input_lengths;
  float *loss, *d_x;  ///< d_x may be null
  std::int64_t samples;
  int steps, classes, longest, blank;
  Scaled* workspace;
  std::int64_t workspace_each;  ///< words a sample
};

/// Of a symbol of the label: its class if no earlier symbol has it, else -1, and the next symbol of that
/// class, or the length of the label.
struct alignas(8) Occurrence {
  int head_class, next;
};

inline constexpr int most_side_warps = 16;

/// What lanes of a block tell each other.
struct alignas(16) Shared {
  int exponent;  ///< of the likelihood: that of its largest term
  int most[2][most_side_warps];
  Scaled edges[2][2][most_side_warps];  ///< by side and parity of the step: the symbols between warps
};

/// The block's.
struct Sample {
  const Batch& batch;
  std::int64_t n;
  int steps, length;
  const std::int32_t* label;
  int width;                 ///< of a frame
  Scaled* emissions;         ///< (T, width): of the symbols, then of the blank
  Scaled *blanks, *symbols;  ///< (T, width), or one frame: what enters them, later their weights
  Occurrence* occurrences;

  SCRAWL_DEVICE Sample(const Batch& b, Scaled* frames, Scaled* occurrences)
      : batch(b),
        n(block_index().x),
        steps(b.input_lengths[n]),
        length(b.label_lengths[n]),
        label(b.labels + n * b.longest),
        width(b.longest + 1),
        emissions(frames),
        blanks(emissions + std::int64_t{b.steps} * width),
        symbols(blanks + std::int64_t{b.d_x ? b.steps : 1} * width),
        occurrences(reinterpret_cast<Occurrence*>(occurrences)) {}

  SCRAWL_DEVICE bool has_gradient() const { return batch.d_x != nullptr; }
  /// The frame from which on it is alpha that weighs.
  SCRAWL_DEVICE int crossing() const { return steps / 2; }
  /// Of a frame, in x and d_x.
  SCRAWL_DEVICE std::int64_t row(int t) const { return (t * batch.samples + n) * batch.classes; }
  SCRAWL_DEVICE std::int64_t kept(int t) const { return has_gradient() ? std::int64_t{t} * width : 0; }

  SCRAWL_DEVICE void fill_gradient(int from, int to, float value) const {
    if (!has_gradient()) return;
    for (int t = from + warp_index(); t < to; t += block_size() / warp_size) {
      float* const d_x = batch.d_x + row(t);
      for (int k = lane_index(); k < batch.classes; k += warp_size) d_x[k] = value;
    }
  }

  SCRAWL_DEVICE void finish(float loss) const {
    if (thread_index() == 0) batch.loss[n] = loss;
    fill_gradient(0, batch.steps, 0);
  }
  SCRAWL_DEVICE void finish_impossible() const {
    finish(batch.infeasible == Infeasible::zero ? 0 : INFINITY);
  }
};

// ----------------------------------------------------------------------------------------- the two chains

enum class Half : std::uint8_t { before_crossing, beyond };

/// One of the two chains. Pair j has blank j and symbol j in the order in which the side reads; pair `length`
/// has no symbol. What those further on hold does not matter: nothing leads back.
struct Side {
  const Sample& sample;
  Shared& shared;
  int warps;
  bool backwards = warp_index() >= warps;
  bool is_idle = warp_index() >= 2 * warps;

  SCRAWL_DEVICE int warp() const { return warp_index() - (backwards ? warps : 0); }
  SCRAWL_DEVICE int lanes() const { return warps * warp_size; }
  SCRAWL_DEVICE int rank() const { return warp() * warp_size + lane_index(); }
  SCRAWL_DEVICE int crossing() const {
    return backwards ? sample.steps - sample.crossing() : sample.crossing();
  }
  /// Without a gradient one frame is weighed.
  SCRAWL_DEVICE int steps() const {
    if (sample.has_gradient()) return sample.steps;
    return crossing() + (backwards ? 0 : 1);
  }
  SCRAWL_DEVICE int frame(int step) const { return backwards ? sample.steps - 1 - step : step; }

  SCRAWL_DEVICE bool has_blank(int j) const { return j <= sample.length; }
  SCRAWL_DEVICE bool has_symbol(int j) const { return j < sample.length; }
  SCRAWL_DEVICE int blank(int j) const { return backwards ? sample.length - j : j; }
  SCRAWL_DEVICE int symbol(int j) const { return backwards ? sample.length - 1 - j : j; }
  /// Of symbol j; the blank's where there is none.
  SCRAWL_DEVICE int emission(int j) const { return has_symbol(j) ? symbol(j) : sample.length; }
  /// Whether a path may go from the symbol before to symbol j without a blank between.
  SCRAWL_DEVICE bool skips(int j) const {
    return j > 0 && has_symbol(j) && sample.label[symbol(j)] != sample.label[symbol(j - 1)];
  }
  /// Before the first frame the first blank is certain.
  SCRAWL_DEVICE Scaled start(int j) const { return j == 0 ? Scaled{1, 0} : impossible(); }

  SCRAWL_DEVICE Scaled* kept_blank(int t, int j) const { return sample.blanks + sample.kept(t) + blank(j); }
  SCRAWL_DEVICE Scaled* kept_symbol(int t, int j) const {
    return sample.symbols + sample.kept(t) + symbol(j);
  }
  /// Whether what enters states before the crossing is kept: not if nothing weighs it.
  SCRAWL_DEVICE bool keeps() const { return backwards || sample.has_gradient(); }

  /// Each side has a barrier of its own; a constant number, for the compiler to count them.
  SCRAWL_DEVICE void sync(Place place) const {
    if (backwards)
      sync_warps(2, lanes(), place);
    else
      sync_warps(1, lanes(), place);
  }

  /// What weights are relative to: the exponent of the largest term of the likelihood, from the lanes'
  /// largest.
  SCRAWL_DEVICE int take_exponent(int most) const {
    most = reduce_warp(most, [](int a, int b) { return larger(a, b); });
    if (warps > 1) {
      int* const of_warps = shared.most[backwards];
      if (lane_index() == 0) of_warps[warp()] = most;
      sync(Place::here());
      for (int i = 0; i < warps; ++i) most = larger(most, of_warps[i]);
    }
    if (!backwards && rank() == 0) shared.exponent = most;
    return most;
  }
};

/// A pair's states from one frame's emission to the next one's.
SCRAWL_DEVICE void enter(Scaled& blank, Scaled& symbol, Scaled symbol_before, bool skips) {
  const Scaled skipping{symbol_before.mantissa, skips ? symbol_before.exponent : never};
  symbol = sum(symbol, blank, skipping);
  blank = sum(blank, symbol_before);
}

SCRAWL_DEVICE void emit(Scaled& blank, Scaled& symbol, Scaled of_blank, Scaled of_symbol, int step) {
  blank = blank * of_blank;
  symbol = symbol * of_symbol;
  if (step % frames_between_normalisations != 0) return;
  blank = normalised(blank);
  symbol = normalised(symbol);
}

/// The weight of a state in all paths: own probability after the emission, and the other side's before it.
SCRAWL_DEVICE Scaled joined(Scaled own, Scaled others) {
  return {own.mantissa * others.mantissa, own.exponent + others.exponent};
}
SCRAWL_DEVICE float weight_of(Scaled joined, int relative_to) {
  return joined.mantissa * power_of_two(joined.exponent - relative_to);
}
SCRAWL_DEVICE int exponent_of(Scaled blank, Scaled symbol) {
  return larger(normalised(blank).exponent, normalised(symbol).exponent);
}

/// States in registers, kPairs of neighbours a lane.
template <int kPairs>
class InRegisters {
 public:
  SCRAWL_DEVICE InRegisters(const Sample& sample, Shared& shared, int side_warps)
      : side_{sample, shared, side_warps}, first_(side_.rank() * kPairs) {
#pragma unroll
    for (int q = 0; q < kPairs; ++q) {
      blanks_[q] = side_.start(first_ + q);
      symbols_[q] = impossible();
      skips_[q] = !side_.is_idle && side_.skips(first_ + q);
    }
  }

  /// Of both sides.
  SCRAWL_DEVICE int lanes() const { return 2 * side_.lanes(); }

  template <Half kHalf>
  SCRAWL_DEVICE void walk() {
    if (side_.is_idle) return;
    const auto& s = side_.sample;
    const int crossing = side_.crossing();
    const int from = kHalf == Half::beyond ? crossing : 0,
              to = kHalf == Half::beyond ? side_.steps() : crossing;
    const int t = side_.frame(from), frame = side_.backwards ? -s.width : s.width;
    const int kept_frame = s.has_gradient() ? frame : 0;
    const bool keeps = side_.keeps();
    const Scaled* of_blank_at = s.emissions + std::int64_t{t} * s.width + s.length;
    const Scaled* of_symbol_at[kPairs];
    Scaled *blank_at[kPairs], *symbol_at[kPairs];
#pragma unroll
    for (int q = 0; q < kPairs; ++q) {
      of_symbol_at[q] = s.emissions + std::int64_t{t} * s.width + side_.emission(first_ + q);
      blank_at[q] = side_.kept_blank(t, first_ + q);
      symbol_at[q] = side_.kept_symbol(t, first_ + q);
    }

    for (int step = from; step < to; ++step) {
      // First all loads: they are there when the chain needs them.
      const Scaled of_blank = *of_blank_at;
      Scaled of_symbol[kPairs], blank[kPairs], symbol[kPairs];
#pragma unroll
      for (int q = 0; q < kPairs; ++q) {
        of_symbol[q] = *of_symbol_at[q];
        if constexpr (kHalf == Half::beyond) {
          blank[q] = side_.has_blank(first_ + q) ? *blank_at[q] : impossible();
          symbol[q] = side_.has_symbol(first_ + q) ? *symbol_at[q] : impossible();
        }
      }

      const Scaled before = symbol_before(step);
#pragma unroll
      for (int q = kPairs - 1; q >= 0; --q) {
        enter(blanks_[q], symbols_[q], q > 0 ? symbols_[q - 1] : before, skips_[q]);
        if constexpr (kHalf == Half::before_crossing) {
          if (keeps && side_.has_blank(first_ + q)) *blank_at[q] = blanks_[q];
          if (keeps && side_.has_symbol(first_ + q)) *symbol_at[q] = symbols_[q];
        }
      }
#pragma unroll
      for (int q = 0; q < kPairs; ++q) emit(blanks_[q], symbols_[q], of_blank, of_symbol[q], step);

      if constexpr (kHalf == Half::beyond) {
#pragma unroll
        for (int q = 0; q < kPairs; ++q) {
          blank[q] = joined(blanks_[q], blank[q]);
          symbol[q] = joined(symbols_[q], symbol[q]);
        }
        if (step == crossing) {
          int most = exponent_of(blank[0], symbol[0]);
#pragma unroll
          for (int q = 1; q < kPairs; ++q) most = larger(most, exponent_of(blank[q], symbol[q]));
          exponent_ = side_.take_exponent(most);
        }
#pragma unroll
        for (int q = 0; q < kPairs; ++q) {
          if (side_.has_blank(first_ + q)) blank_at[q]->mantissa = weight_of(blank[q], exponent_);
          if (side_.has_symbol(first_ + q)) symbol_at[q]->mantissa = weight_of(symbol[q], exponent_);
        }
      }

      of_blank_at += frame;
#pragma unroll
      for (int q = 0; q < kPairs; ++q) {
        of_symbol_at[q] += frame;
        blank_at[q] += kept_frame;
        symbol_at[q] += kept_frame;
      }
    }
  }

 private:
  /// Symbol first - 1 after the step before.
  SCRAWL_DEVICE Scaled symbol_before(int step) const {
    const Scaled last = symbols_[kPairs - 1];
    Scaled before = unpacked(shuffle_up(packed(last), 1));
    if (lane_index() == 0) before = impossible();
    if (side_.warps == 1) return before;
    Scaled* const edges = side_.shared.edges[side_.backwards][step % 2];
    if (lane_index() == warp_size - 1) edges[side_.warp()] = last;
    side_.sync(Place::here());
    if (lane_index() == 0 && side_.warp() > 0) before = edges[side_.warp() - 1];
    return before;
  }

  Side side_;
  int first_;  ///< of the lane's pairs
  Scaled blanks_[kPairs], symbols_[kPairs];
  bool skips_[kPairs];
  int exponent_ = 0;
};

/// States in memory, for labels of any length: those after one step and those after the next in turn.
class InMemory {
 public:
  /// Words a sample.
  static constexpr std::int64_t words(std::int64_t longest) { return 8 * (longest + 1); }

  SCRAWL_DEVICE InMemory(const Sample& sample, Shared& shared, Scaled* states)
      : side_{sample, shared, most_side_warps},
        states_(states + (side_.backwards ? std::int64_t{4} * sample.width : 0)) {}

  SCRAWL_DEVICE int lanes() const { return 2 * side_.lanes(); }

  template <Half kHalf>
  SCRAWL_DEVICE void walk() {
    const auto& s = side_.sample;
    const int crossing = side_.crossing();
    const int from = kHalf == Half::beyond ? crossing : 0,
              to = kHalf == Half::beyond ? side_.steps() : crossing;
    for (int step = from; step < to; ++step) {
      const int t = side_.frame(step);
      const Scaled* const emissions = s.emissions + std::int64_t{t} * s.width;
      const Scaled of_blank = emissions[s.length];
      each_pair([&](int j) {
        Scaled blank = step > 0 ? blanks(step - 1)[j] : side_.start(j);
        Scaled symbol = step > 0 ? symbols(step - 1)[j] : impossible();
        enter(blank, symbol, step > 0 && j > 0 ? symbols(step - 1)[j - 1] : impossible(), side_.skips(j));
        if (kHalf == Half::before_crossing && side_.keeps()) {
          *side_.kept_blank(t, j) = blank;
          if (side_.has_symbol(j)) *side_.kept_symbol(t, j) = symbol;
        }
        emit(blank, symbol, of_blank, emissions[side_.emission(j)], step);
        blanks(step)[j] = blank;
        symbols(step)[j] = symbol;
      });
      if constexpr (kHalf == Half::beyond) {
        const auto blank = [&](int j) { return joined(blanks(step)[j], *side_.kept_blank(t, j)); };
        const auto symbol = [&](int j) {
          return side_.has_symbol(j) ? joined(symbols(step)[j], *side_.kept_symbol(t, j)) : impossible();
        };
        if (step == crossing) {
          int most = 2 * never;
          each_pair([&](int j) { most = larger(most, exponent_of(blank(j), symbol(j))); });
          exponent_ = side_.take_exponent(most);
        }
        each_pair([&](int j) {
          side_.kept_blank(t, j)->mantissa = weight_of(blank(j), exponent_);
          if (side_.has_symbol(j)) side_.kept_symbol(t, j)->mantissa = weight_of(symbol(j), exponent_);
        });
      }
      side_.sync(Place::here());
    }
  }

 private:
  template <class F>
  SCRAWL_DEVICE void each_pair(F&& f) const {
    for (int j = side_.rank(); j <= side_.sample.length; j += side_.lanes()) f(j);
  }
  /// After a step.
  SCRAWL_DEVICE Scaled* blanks(int step) const {
    return states_ + std::int64_t{step % 2} * side_.sample.width;
  }
  SCRAWL_DEVICE Scaled* symbols(int step) const {
    return blanks(step) + std::int64_t{2} * side_.sample.width;
  }

  Side side_;
  Scaled* states_;  ///< (blanks and symbols, steps in turn, width)
  int exponent_ = 0;
};

}  // namespace SCRAWL_CUDA::ctc
