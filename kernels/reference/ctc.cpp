#include "kernels/ctc.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/operations.h"
#include "kernels/reference/softmax.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

/// log(exp(a) + exp(b))
double log_add(double a, double b) {
  if (a == never) return b;
  if (b == never) return a;
  return a > b ? a + std::log1p(std::exp(b - a)) : b + std::log1p(std::exp(a - b));
}

struct Sample {
  double log_likelihood;
  Tensor occupancy;  ///< (T, K): posterior probability that frame t emits class k
};

/// The forward-backward algorithm over the label with blanks between and around: states s = 0 .. 2 L.
/// log_p (T, K) with T >= 1.
Sample align(const Tensor& log_p, const std::vector<std::int32_t>& label, std::int32_t blank) {
  const auto steps = log_p.extent(0), states = 2 * static_cast<std::int64_t>(label.size()) + 1;
  const auto symbol = [&](std::int64_t s) {
    return s % 2 == 0 ? blank : label[static_cast<std::size_t>(s / 2)];
  };
  /// Whether the blank before state s may be left out.
  const auto skips = [&](std::int64_t s) { return s >= 2 && s % 2 == 1 && symbol(s) != symbol(s - 2); };

  Tensor alpha(Shape{steps, states}, never), beta(Shape{steps, states}, never);  // beta leaves frame t out
  for (std::int64_t s = 0; s < std::min<std::int64_t>(states, 2); ++s) {
    alpha(0, s) = log_p(0, symbol(s));
    beta(steps - 1, states - 1 - s) = 0;
  }
  for (std::int64_t t = 1; t < steps; ++t)
    for (std::int64_t s = 0; s < states; ++s) {
      double sum = alpha(t - 1, s);
      if (s >= 1) sum = log_add(sum, alpha(t - 1, s - 1));
      if (skips(s)) sum = log_add(sum, alpha(t - 1, s - 2));
      alpha(t, s) = sum + log_p(t, symbol(s));
    }
  for (std::int64_t t = steps - 2; t >= 0; --t)
    for (std::int64_t s = 0; s < states; ++s) {
      const auto through = [&](std::int64_t next) { return beta(t + 1, next) + log_p(t + 1, symbol(next)); };
      double sum = through(s);
      if (s + 1 < states) sum = log_add(sum, through(s + 1));
      if (s + 2 < states && skips(s + 2)) sum = log_add(sum, through(s + 2));
      beta(t, s) = sum;
    }

  Sample sample{never, Tensor(log_p.shape())};
  for (std::int64_t s = 0; s < states; ++s)
    sample.log_likelihood = log_add(sample.log_likelihood, alpha(0, s) + beta(0, s));
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t s = 0; s < states; ++s)
      sample.occupancy(t, symbol(s)) += std::exp(alpha(t, s) + beta(t, s) - sample.log_likelihood);
  return sample;
}

}  // namespace

void run(const CtcLoss& call) {
  const Tensor x(call.x), labels(call.labels), label_lengths(call.label_lengths),
      input_lengths(call.input_lengths);
  const auto samples = x.extent(1), classes = x.extent(2);
  Tensor loss(Shape{samples}), d_x(x.shape());
  for (std::int64_t n = 0; n < samples; ++n) {
    const auto steps = static_cast<std::int64_t>(input_lengths(n));
    std::vector<std::int32_t> label;
    for (std::int64_t i = 0; i < label_lengths(n); ++i)
      label.push_back(static_cast<std::int32_t>(labels(n, i)));
    if (steps == 0 && label.empty()) continue;

    Tensor log_p(Shape{steps, classes});
    for (std::int64_t t = 0; t < steps; ++t) {
      for (std::int64_t k = 0; k < classes; ++k) log_p(t, k) = x(t, n, k);
      if (call.input == CtcInput::logits)
        log_softmax(
            log_p.values().subspan(static_cast<std::size_t>(t * classes), static_cast<std::size_t>(classes)));
    }
    const bool feasible = steps >= ctc_least_steps(label);
    const Sample sample = feasible ? align(log_p, label, call.blank) : Sample{never, Tensor()};
    if (sample.log_likelihood == never) {  // a label of probability zero counts as infeasible
      loss(n) = call.infeasible == Infeasible::zero ? 0 : -never;
      continue;
    }
    loss(n) = -sample.log_likelihood;
    for (std::int64_t t = 0; t < steps; ++t)
      for (std::int64_t k = 0; k < classes; ++k) {
        const double p = call.input == CtcInput::logits ? std::exp(log_p(t, k)) : 0;
        d_x(t, n, k) = p - sample.occupancy(t, k);
      }
  }
  loss.store(call.loss);
  d_x.store(call.d_x);
}

}  // namespace scrawl::reference
