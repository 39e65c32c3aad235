/// CTC: log-softmax, loss and gradient at once, a sample at a time.
///
/// Forward, frame by frame: the class probabilities (left in d_x), those of the label's symbols, and the
/// states before and after the emission. Backward: the states of the rest, and from both the posterior of
/// each symbol, which d_x gives up. Posteriors are divided by their own sum, frame by frame, so that what the
/// long chains have in common of rounding cancels and each frame's gradient sums to zero.

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
};

enum class Gradient : std::uint8_t { skip, compute };

/// One thread's memory: a lattice, and what the backward pass needs of every frame.
struct Scratch {
  std::int64_t pairs;        ///< of states, padded
  ProbabilityArray classes;  ///< of one frame, before their division by `sum`
  Lattice lattice;
  States states;
  States before_emission;    ///< by frame
  ProbabilityArray symbols;  ///< emission, by frame
  ProbabilityArray blanks;   ///< emission, by frame: one number each
  float* posteriors;         ///< of one frame's symbols

  Scratch(Workspace& workspace, const Extents& e, Gradient gradient)
      : pairs(Lattice::padded(e.longest)),
        classes(workspace, (e.classes + lanes - 1) / lanes * lanes),
        lattice(workspace, e.longest),
        states(workspace, pairs),
        before_emission(workspace, pairs * frames(e, gradient)),
        symbols(workspace, pairs * frames(e, gradient)),
        blanks(workspace, frames(e, gradient)),
        posteriors(workspace.take<float>(pairs)) {}

  /// Without a gradient each frame overwrites the one before.
  static std::int64_t frames(const Extents& e, Gradient gradient) {
    return gradient == Gradient::skip ? 1 : e.steps;
  }
};

/// One sample of a batch: x and d_x at its frames.
template <class T>
class Sample {
 public:
  Sample(const CtcLoss& call, const Extents& extents, std::int64_t n, Scratch& scratch)
      : call_(call),
        extents_(extents),
        n_(n),
        steps_(call.input_lengths.as<const std::int32_t>()[n]),
        scratch_(scratch),
        lattice_(scratch.lattice),
        gradient_(call.d_x.present() ? Gradient::compute : Gradient::skip) {}

  void run() {
    const auto* const label = call_.labels.as<const std::int32_t>() + n_ * extents_.longest;
    const auto length = static_cast<std::size_t>(call_.label_lengths.as<const std::int32_t>()[n_]);
    if (steps_ < ctc_least_steps({label, length})) return fill(impossible_loss(), 0.0f);
    lattice_.set(label, static_cast<std::int64_t>(length), call_.blank);

    const double log_likelihood = forward();
    if (std::isnan(log_likelihood)) return fill(std::numeric_limits<float>::quiet_NaN(), log_likelihood);
    if (std::isinf(log_likelihood)) return fill(impossible_loss(), 0.0f);
    loss() = static_cast<float>(-log_likelihood);
    if (gradient_ == Gradient::skip) return;
    backward();
    zero_from(steps_);
  }

 private:
  float& loss() const { return call_.loss.as<float>()[n_]; }
  float impossible_loss() const {
    return call_.infeasible == Infeasible::zero ? 0.0f : std::numeric_limits<float>::infinity();
  }
  const T* x(std::int64_t t) const {
    return call_.x.as<const T>() + (t * extents_.samples + n_) * extents_.classes;
  }
  float* d_x(std::int64_t t) const {
    return call_.d_x.as<float>() + (t * extents_.samples + n_) * extents_.classes;
  }

  /// The loss, and one value for the gradient of every frame.
  void fill(float loss_value, double gradient) {
    loss() = loss_value;
    if (gradient_ == Gradient::skip) return;
    for (std::int64_t t = 0; t < steps_; ++t)
      std::fill_n(d_x(t), extents_.classes, static_cast<float>(gradient));
    zero_from(steps_);
  }
  void zero_from(std::int64_t step) {
    for (auto t = step; t < extents_.steps; ++t) std::fill_n(d_x(t), extents_.classes, 0.0f);
  }

  /// Fills scratch.classes with frame t's probabilities times a factor, which it returns the inverse of, and
  /// d_x with their values.
  Probabilities classify(std::int64_t t) {
    const bool logits = call_.input == CtcInput::logits;
    const T* const row = x(t);
    f32x16 most = broadcast(-std::numeric_limits<float>::infinity()), sums{};
    if (logits)
      each_vector_of_row(extents_.classes, [&](std::int64_t k, int count) {
        most = max(most, or_never(load(row + k, count), count));
      });
    const float top = logits ? largest(most) : 0.0f;
    each_vector_of_row(extents_.classes, [&](std::int64_t k, int count) {
      const Probabilities p = exp_scaled(or_never(load(row + k, count), count) - top);
      scratch_.classes.set(k / lanes, p);
      if (logits) sums += scale_by_power(p.mantissa, p.exponent);
    });
    int exponent = 0;
    const float mantissa = logits ? std::frexp(1 / sum(sums), &exponent) : 1.0f;
    const Probabilities scale{broadcast(mantissa), broadcast(static_cast<float>(exponent))};
    if (gradient_ == Gradient::compute)
      each_vector_of_row(extents_.classes, [&](std::int64_t k, int count) {
        const Probabilities p = scratch_.classes[k / lanes] * scale;
        store(d_x(t) + k, logits ? scale_by_power(p.mantissa, p.exponent) : f32x16{}, count);
      });
    return scale;
  }

  /// log P(label | x), -inf if there is no path; NaN if a frame is no distribution.
  double forward() {
    const auto vectors = lattice_.vectors();
    scratch_.states.start(vectors, 0);
    f32x16 witness{};  // NaN once an emission is
    for (std::int64_t t = 0; t < steps_; ++t) {
      const Probabilities scale = classify(t);
      const auto frame = gradient_ == Gradient::compute ? t : 0;
      const States before = scratch_.before_emission.from(frame * scratch_.pairs);
      const ProbabilityArray symbols = scratch_.symbols.from(frame * scratch_.pairs);
      const Probabilities blank = gathered(broadcast(call_.blank)) * scale;
      scratch_.blanks.mantissa[frame] = blank.mantissa[0];
      scratch_.blanks.exponent[frame] = blank.exponent[0];
      witness += blank.mantissa - blank.mantissa;
      const bool normalises = t % frames_between_normalisations == 0;
      advance(lattice_, scratch_.states,
              [&](std::int64_t v, Probabilities blanks_before, Probabilities symbols_before) {
                const Probabilities emission =
                    where(lattice_.exists(v), gathered(lattice_.classes(v)) * scale);
                witness += emission.mantissa - emission.mantissa;
                symbols.set(v, emission);
                before.blanks.set(v, blanks_before);
                before.symbols.set(v, symbols_before);
                return after(blanks_before * blank, symbols_before * emission, normalises);
              });
    }
    if (any(is_nan(witness))) return std::numeric_limits<double>::quiet_NaN();
    return log_of_final();
  }

  /// The probabilities of these classes in the frame at hand.
  Probabilities gathered(i32x16 classes) const {
    return {gather(scratch_.classes.mantissa, classes), gather(scratch_.classes.exponent, classes)};
  }

  static std::pair<Probabilities, Probabilities> after(Probabilities blanks, Probabilities symbols,
                                                       bool normalises) {
    if (normalises) return {normalised(blanks), normalised(symbols)};
    return {blanks, symbols};
  }

  /// A path ends in the last blank or the last symbol.
  double log_of_final() const {
    const auto length = lattice_.length();
    const auto log2_of = [](const ProbabilityArray& p, std::int64_t n) {
      return std::log2(static_cast<double>(p.mantissa[n])) + p.exponent[n];
    };
    const double blank = log2_of(scratch_.states.blanks, length);
    const double symbol = length > 0 ? log2_of(scratch_.states.symbols, length - 1) : never;
    const double most = std::max(blank, symbol);
    if (most < never / 2) return -std::numeric_limits<double>::infinity();
    return (most + std::log2(std::exp2(blank - most) + std::exp2(symbol - most))) * ln_2;
  }

  /// Takes the posteriors from d_x.
  void backward() {
    const auto vectors = lattice_.vectors(), length = lattice_.length();
    scratch_.states.start(vectors, length);
    for (auto t = steps_ - 1; t >= 0; --t) {
      const States before = scratch_.before_emission.from(t * scratch_.pairs);
      const ProbabilityArray symbols = scratch_.symbols.from(t * scratch_.pairs);
      const Probabilities blank{broadcast(scratch_.blanks.mantissa[t]),
                                broadcast(scratch_.blanks.exponent[t])};
      const bool normalises = t % frames_between_normalisations == 0;
      f32x16 most = broadcast(never);
      retreat(lattice_, scratch_.states,
              [&](std::int64_t v, Probabilities blanks_after, Probabilities symbols_after) {
                const auto pair = after(blanks_after * blank, symbols_after * symbols[v], normalises);
                // Both sides of the frame: what lies before its emission, and from it on.
                const Probabilities blanks_through = before.blanks[v] * pair.first;
                const Probabilities symbols_through = before.symbols[v] * pair.second;
                before.blanks.set(v, blanks_through);
                before.symbols.set(v, symbols_through);
                most = max(most, max(blanks_through.exponent, symbols_through.exponent));
                return pair;
              });
      take_posteriors(before, largest(most), d_x(t));
    }
  }

  /// `through`: the probability of all paths through each state, up to a factor of the frame.
  void take_posteriors(const States& through, float most, float* d_x) {
    f32x16 blank_sums{}, symbol_sums{};
    for (std::int64_t v = 0; v < lattice_.vectors(); ++v) {
      const Probabilities blanks = through.blanks[v], symbols = through.symbols[v];
      blank_sums += scale_by_power(blanks.mantissa, blanks.exponent - most);
      const f32x16 weights = scale_by_power(symbols.mantissa, symbols.exponent - most);
      symbol_sums += weights;
      store(scratch_.posteriors + v * lanes, weights);
    }
    const float blank = sum(blank_sums), share = 1 / (blank + sum(symbol_sums));
    d_x[call_.blank] -= blank * share;
    const auto* const symbols = lattice_.symbols();
    for (std::int64_t n = 0; n < lattice_.length(); ++n) d_x[symbols[n]] -= scratch_.posteriors[n] * share;
  }

  const CtcLoss& call_;
  const Extents& extents_;
  std::int64_t n_, steps_;
  Scratch& scratch_;
  Lattice& lattice_;
  Gradient gradient_;
};

std::size_t scratch_bytes(const CtcLoss& call) {
  Workspace counted;
  Scratch(counted, Extents(call), call.d_x.present() ? Gradient::compute : Gradient::skip);
  return counted.bytes();
}

/// Samples take as long as their labels and inputs: threads fetch the next one when they are free. No result
/// depends on who computes it.
template <class T>
void run(const CtcLoss& call, Bytes bytes, int threads) {
  const Extents extents(call);
  const auto each = scratch_bytes(call);
  std::atomic<std::int64_t> next = 0;
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t) {
    Workspace workspace(bytes.subspan(static_cast<std::size_t>(begin) * each, each));
    Scratch scratch(workspace, extents, call.d_x.present() ? Gradient::compute : Gradient::skip);
    for (auto n = next++; n < extents.samples; n = next++) Sample<T>(call, extents, n, scratch).run();
  });
}

Plan<CtcLoss> plan_lattice(CtcLoss& call, const Selection& selection) {
  make_row_major(call.x, call.labels, call.label_lengths, call.input_lengths, call.loss, call.d_x);
  return {.workspace_bytes = scratch_bytes(call) * static_cast<std::size_t>(selection.threads),
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
