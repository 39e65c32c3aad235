/// CTC: log-softmax, loss and gradient at once, sample by sample through the lattice of its label.
///
/// Forward, 16 frames at a time: the softmax of each, left in d_x, and the emissions of the label's symbols;
/// then the states before and after each emission. Backward: the states of the rest, and from both the
/// posterior of each symbol, which is taken from d_x. Posteriors are divided by their own sum, frame by
/// frame: what the long chains have in common of rounding cancels, and each frame's gradient sums to zero.

#include "kernels/ctc.h"

#include <atomic>

#include "kernels/check.h"
#include "kernels/cpu/ctc_lattice.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/planners.h"
#include "kernels/cpu/rows.h"

namespace scrawl::cpu {
namespace {

constexpr double ln_2 = 0.693147180559945309;

struct Extents {
  std::int64_t steps, samples, classes, longest;

  explicit Extents(const CtcLoss& call)
      : steps(call.x.shape[0]),
        samples(call.x.shape[1]),
        classes(call.x.shape[2]),
        longest(call.labels.shape[1]) {}

  /// Of the row of frame t of sample n, in x and d_x.
  std::int64_t row(std::int64_t t, std::int64_t n) const { return (t * samples + n) * classes; }
};

bool has_gradient(const CtcLoss& call) { return call.d_x.present(); }

/// What the lattice of one sample needs of its frames; one set a thread.
struct Frames {
  std::int64_t pairs;  ///< of states, padded
  Lattice lattice;
  States states;
  ProbabilityArray blanks;   ///< by frame: emission of the blank
  ProbabilityArray symbols;  ///< by frame and pair: emissions
  States before_emission;    ///< by frame and pair
  float* posteriors;         ///< of the symbols, at one frame

  Frames(Workspace& workspace, const Extents& e, bool has_gradient)
      : pairs(Lattice::padded(e.longest)),
        lattice(workspace, e.longest),
        states(workspace, pairs),
        blanks(workspace, e.steps + lanes),
        symbols(workspace, pairs * (has_gradient ? e.steps : lanes)),
        before_emission(workspace, pairs * (has_gradient ? e.steps : lanes)),
        posteriors(workspace.take<float>(pairs)) {}
};

std::size_t frames_bytes(const CtcLoss& call) {
  Workspace counted;
  Frames(counted, Extents(call), has_gradient(call));
  return counted.bytes();
}

/// The logits of the classes that lanes name, from one row: chosen among registers while kVectors hold it,
/// else read one by one. (A gather waits for stores whose addresses look alike in their lower bits: 60
/// cycles.)
template <class T, int kVectors>
class Row {
 public:
  [[gnu::always_inline]] Row(const T* x, std::int64_t classes) : x_(x) {
    if constexpr (kVectors > 0)
      each_vector_of_row<kVectors>(classes,
                                   [&](std::int64_t k, int count) { held_[k / lanes] = load(x + k, count); });
  }

  [[gnu::always_inline]] f32x16 operator[](i32x16 classes) const {
    if constexpr (kVectors == 0) {
      f32x16 chosen;
      for (int i = 0; i < lanes; ++i) chosen[i] = static_cast<float>(x_[classes[i]]);
      return chosen;
    } else {
      return chosen<kVectors>(0, classes);
    }
  }

 private:
  /// Among `count` vectors from `first` on, by the lower bits of the class.
  template <int count>
  [[gnu::always_inline]] f32x16 chosen(int first, i32x16 classes) const {
    if constexpr (count == 1) return __builtin_shuffle(held_[first], classes);
    if constexpr (count == 2) return __builtin_shuffle(held_[first], held_[first + 1], classes);
    constexpr int half = count / 2;
    const mask16 lower = equal(classes & (half * lanes), i32x16{});
    return select(lower, chosen<half>(first, classes), chosen<half>(first + half, classes));
  }

  const T* x_;
  f32x16 held_[kVectors > 0 ? kVectors : 1];
};

/// One sample of a batch.
template <class T>
class Sample {
 public:
  Sample(const CtcLoss& call, const Extents& extents, std::int64_t n, Frames& frames)
      : call_(call),
        e_(extents),
        n_(n),
        steps_(call.input_lengths.as<const std::int32_t>()[n]),
        frames_(frames),
        lattice_(frames.lattice) {}

  void run() {
    const auto* const label = call_.labels.as<const std::int32_t>() + n_ * e_.longest;
    const auto length = call_.label_lengths.as<const std::int32_t>()[n_];
    if (has_gradient(call_)) fill_gradient(steps_, e_.steps, 0);
    if (steps_ < ctc_least_steps({label, static_cast<std::size_t>(length)})) return finish_impossible();
    lattice_.set(label, length, call_.blank);

    const double log2_likelihood = forward();
    if (log2_likelihood == -std::numeric_limits<double>::infinity()) return finish_impossible();
    loss() = static_cast<float>(-log2_likelihood * ln_2);
    if (!has_gradient(call_)) return;
    if (std::isnan(log2_likelihood)) return fill_gradient(0, steps_, std::numeric_limits<float>::quiet_NaN());
    backward(log2_likelihood);
  }

 private:
  float& loss() const { return call_.loss.as<float>()[n_]; }
  const T* x(std::int64_t t) const { return call_.x.as<const T>() + e_.row(t, n_); }
  float* d_x(std::int64_t t) const { return call_.d_x.as<float>() + e_.row(t, n_); }

  void finish_impossible() {
    loss() = call_.infeasible == Infeasible::zero ? 0.0f : std::numeric_limits<float>::infinity();
    if (has_gradient(call_)) fill_gradient(0, steps_, 0);
  }

  void fill_gradient(std::int64_t from, std::int64_t to, float value) {
    for (auto t = from; t < to; ++t) std::fill_n(d_x(t), e_.classes, value);
  }

  /// Softmax and emissions of 16 frames from t on. They are no part of the chain from frame to frame, and
  /// would lengthen it.
  template <int kVectors>
  void emit(std::int64_t t) {
    const auto count = std::min<std::int64_t>(steps_ - t, lanes);
    float blanks[lanes] = {}, largest[lanes] = {}, sums[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) {
      const RowScale scale = normalise<kVectors>(t + i);
      blanks[i] = static_cast<float>(x(t + i)[call_.blank]);
      largest[i] = scale.largest;
      sums[i] = scale.sum;
    }
    const Probabilities factors = normalised({1.0f / load(sums), f32x16{}});
    frames_.blanks.set(t / lanes, exp_scaled(load(blanks) - load(largest)) * factors);
    for (int i = 0; i < count; ++i) {
      const Row<T, kVectors> row(x(t + i), e_.classes);
      const Probabilities factor{broadcast(factors.mantissa[i]), broadcast(factors.exponent[i])};
      const ProbabilityArray symbols = frames_.symbols.from(kept(t + i));
      for (std::int64_t v = 0; v < lattice_.vectors(); ++v)
        symbols.set(v,
                    barred(exp_scaled(row[lattice_.classes(v)] - largest[i]), lattice_.absence(v)) * factor);
    }
  }

  /// What makes the logits of frame t probabilities; d_x as it is before the posteriors are taken from it.
  template <int kVectors>
  [[gnu::always_inline]] RowScale normalise(std::int64_t t) {
    if (call_.input == CtcInput::log_probabilities) {
      if (has_gradient(call_)) std::fill_n(d_x(t), e_.classes, 0.0f);
      return {0, 1};
    }
    const T* const row = x(t);
    const auto p =
        exponentials<kVectors>(e_.classes, [=](std::int64_t k, int count) { return load(row + k, count); });
    if (has_gradient(call_)) {
      float* const to = d_x(t);
      const float factor = 1 / p.sum;
      each_vector_of_row<kVectors>(
          e_.classes, [&](std::int64_t k, int count) { store(to + k, p(k, count) * factor, count); });
    }
    return {p.largest, p.sum};
  }

  /// log2 P(label | x), -inf if no path has a probability; NaN if a frame is no distribution.
  double forward() {
    frames_.states.start(lattice_.vectors(), 0);
    for (std::int64_t t = 0; t < steps_; ++t) {
      if (t % lanes == 0) dispatch_width(e_.classes, [&]<int kVectors>() { emit<kVectors>(t); });
      prefetch(t + frames_ahead);
      const Probabilities blank = frames_.blanks.every_lane(t);
      const ProbabilityArray symbols = frames_.symbols.from(kept(t));
      const States before = frames_.before_emission.from(kept(t));
      const bool normalises = t % frames_between_normalisations == 0;
      advance(lattice_, frames_.states,
              [&](std::int64_t v, Probabilities blanks_before, Probabilities symbols_before) {
                before.blanks.set(v, blanks_before);
                before.symbols.set(v, symbols_before);
                return emitted(blanks_before * blank, symbols_before * symbols[v], normalises);
              });
    }
    return log2_of_final();
  }

  /// Where the pairs of frame t are kept: without a gradient, 16 frames later others take their place.
  std::int64_t kept(std::int64_t t) const { return frames_.pairs * (has_gradient(call_) ? t : t % lanes); }

  [[gnu::always_inline]] static std::pair<Probabilities, Probabilities> emitted(Probabilities blanks,
                                                                                Probabilities symbols,
                                                                                bool normalises) {
    if (normalises) return {normalised(blanks), normalised(symbols)};
    return {blanks, symbols};
  }

  /// log2 P. A path ends in the last blank or the last symbol.
  double log2_of_final() const {
    const auto length = lattice_.length();
    const auto log2_of = [](const ProbabilityArray& p, std::int64_t n) {
      return std::log2(static_cast<double>(p.mantissa[n])) + p.exponent[n];
    };
    const double blank = log2_of(frames_.states.blanks, length);
    const double symbol = length > 0 ? log2_of(frames_.states.symbols, length - 1) : never;
    const double most = std::max(blank, symbol);
    if (most < never / 2) return -std::numeric_limits<double>::infinity();
    return most + std::log2(std::exp2(blank - most) + std::exp2(symbol - most));
  }

  /// Takes the posteriors from d_x.
  void backward(double log2_likelihood) {
    const auto all_paths = static_cast<float>(std::floor(log2_likelihood));
    /// The share of paths through a state: what lies before its emission, and from it on. The bound is for
    /// exponents beyond 2^24 only, which are no longer exact.
    const auto weight = [=](Probabilities before, Probabilities from) {
      return scale_by_power(before.mantissa * from.mantissa,
                            min(broadcast(100.0f), before.exponent + from.exponent - all_paths));
    };
    frames_.states.start(lattice_.vectors(), lattice_.length());
    for (auto t = steps_ - 1; t >= 0; --t) {
      prefetch_gradient(t - frames_ahead);
      const Probabilities blank = frames_.blanks.every_lane(t);
      const ProbabilityArray symbols = frames_.symbols.from(kept(t));
      const States before = frames_.before_emission.from(kept(t));
      const bool normalises = t % frames_between_normalisations == 0;
      f32x16 blank_weights{}, symbol_weights{};
      retreat(lattice_, frames_.states,
              [&](std::int64_t v, Probabilities blanks_after, Probabilities symbols_after) {
                const auto states = emitted(blanks_after * blank, symbols_after * symbols[v], normalises);
                blank_weights += weight(before.blanks[v], states.first);
                const f32x16 weights = weight(before.symbols[v], states.second);
                symbol_weights += weights;
                store(frames_.posteriors + v * lanes, weights);
                return states;
              });
      take_posteriors(cpu::sum(blank_weights), cpu::sum(symbol_weights), d_x(t));
    }
  }

  void take_posteriors(float blank, float symbols, float* d_x) const {
    const float all = blank + symbols, share = all > 0 ? 1 / all : 0;
    d_x[call_.blank] -= blank * share;
    const auto* const classes = lattice_.symbols();
    for (std::int64_t n = 0; n < lattice_.length(); ++n) d_x[classes[n]] -= frames_.posteriors[n] * share;
  }

  /// Rows of one sample are samples x classes apart, too far for the hardware to see them coming.
  static constexpr std::int64_t frames_ahead = lanes;
  void prefetch(std::int64_t t) const {
    if (t >= steps_) return;
    const T* const row = x(t);
    for (std::int64_t k = 0; k < e_.classes; k += in_line<T>) __builtin_prefetch(row + k, 0);
    prefetch_gradient(t);
  }
  void prefetch_gradient(std::int64_t t) const {
    if (t < 0 || !has_gradient(call_)) return;
    const float* const row = d_x(t);
    for (std::int64_t k = 0; k < e_.classes; k += in_line<float>) __builtin_prefetch(row + k, 1);
  }
  template <class Value>
  static constexpr std::int64_t in_line = 64 / sizeof(Value);

  const CtcLoss& call_;
  const Extents& e_;
  std::int64_t n_, steps_;
  Frames& frames_;
  Lattice& lattice_;
};

/// Samples take as long as their labels and inputs: threads fetch the next one when they are free. No result
/// depends on who computes it.
template <class T>
void run(const CtcLoss& call, Bytes bytes, int threads) {
  const Extents extents(call);
  const auto each = frames_bytes(call);
  std::atomic<std::int64_t> next = 0;
  parallel_for(threads, threads, 1, [&](std::int64_t thread, std::int64_t) {
    const FlushSubnormals states_far_below_the_others_add_nothing;
    Workspace own(bytes.subspan(static_cast<std::size_t>(thread) * each, each));
    Frames frames(own, extents, has_gradient(call));
    for (auto n = next++; n < extents.samples; n = next++) Sample<T>(call, extents, n, frames).run();
  });
}

Plan<CtcLoss> plan_lattice(CtcLoss& call, const Selection& selection) {
  make_row_major(call.x, call.labels, call.label_lengths, call.input_lengths, call.loss, call.d_x);
  return {.workspace_bytes = frames_bytes(call) * static_cast<std::size_t>(selection.threads),
          .run = [threads = selection.threads](const CtcLoss& c, Bytes bytes, Stream) {
            dispatch_storage(c.x.type, [&]<class T>() { run<T>(c, bytes, threads); });
          }};
}

}  // namespace

Plan<CtcLoss> ctc_loss(CtcLoss& call, const Selection& selection) {
  static constexpr Variant<CtcLoss> variants[] = {{"lattice", Origin::native, plan_lattice}};
  check(call);
  return first_variant<CtcLoss>("ctc_loss", variants, call, selection);
}

}  // namespace scrawl::cpu
