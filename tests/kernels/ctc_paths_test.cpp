/// The reference's CTC against the definition: every path of classes, collapsed and summed.

#include <random>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Label = std::vector<std::int32_t>;

/// Repeats merged, then blanks removed.
Label collapsed(const std::vector<std::int32_t>& path, std::int32_t blank) {
  Label label;
  for (std::size_t t = 0; t < path.size(); ++t)
    if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) label.push_back(path[t]);
  return label;
}

struct Enumerated {
  double probability = 0;
  Tensor occupancy;  ///< (T, K): probability of the label through class k at t
};

/// p (T, K): probabilities.
Enumerated enumerate_paths(const Tensor& p, const Label& label, std::int32_t blank) {
  const auto steps = p.extent(0), classes = p.extent(1);
  Enumerated sum{0, Tensor(p.shape())};
  std::vector<std::int32_t> path(static_cast<std::size_t>(steps));
  while (true) {
    if (collapsed(path, blank) == label) {
      double probability = 1;
      for (std::int64_t t = 0; t < steps; ++t) probability *= p(t, path[static_cast<std::size_t>(t)]);
      sum.probability += probability;
      for (std::int64_t t = 0; t < steps; ++t)
        sum.occupancy(t, path[static_cast<std::size_t>(t)]) += probability;
    }
    std::size_t at = 0;
    while (at < path.size() && ++path[at] == classes) path[at++] = 0;
    if (at == path.size()) return sum;
  }
}

/// All labels of up to `longest` symbols.
std::vector<Label> labels_up_to(std::size_t longest, std::int32_t classes, std::int32_t blank) {
  std::vector<Label> labels{{}};
  for (std::size_t from = 0; from < labels.size() && labels[from].size() < longest; ++from)
    for (std::int32_t k = 0; k < classes; ++k)
      if (k != blank) {
        Label longer = labels[from];
        longer.push_back(k);
        labels.push_back(longer);
      }
  return labels;
}

TEST(ctc, loss_and_gradient_are_those_of_all_paths) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  constexpr std::int32_t classes = 3;
  for (std::int64_t steps = 1; steps <= 6; ++steps)
    for (const std::int32_t blank : {0, 1, 2})
      for (const Label& label : labels_up_to(4, classes, blank)) {
        const auto length = static_cast<std::int64_t>(label.size());
        const auto f64 = [](const Shape& shape) { return described(DType::f64, shape); };
        const auto i32 = [](const Shape& shape) { return described(DType::i32, shape); };
        const CtcLoss call{.blank = blank,
                           .x = f64({steps, 1, classes}),
                           .labels = i32({1, std::max<std::int64_t>(length, 1)}),
                           .label_lengths = i32({1}),
                           .input_lengths = i32({1}),
                           .loss = f64({1}),
                           .d_x = f64({steps, 1, classes})};
        Tensor x(call.x.shape), labels(call.labels.shape), p(Shape{steps, classes});
        for (double& value : x.values()) value = normal(random);
        for (std::int64_t i = 0; i < length; ++i) labels(0, i) = label[static_cast<std::size_t>(i)];
        for (std::int64_t t = 0; t < steps; ++t) {
          double sum = 0;
          for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(x(t, 0, k));
          for (std::int64_t k = 0; k < classes; ++k) p(t, k) = std::exp(x(t, 0, k)) / sum;
        }
        const auto got = specified(call, {{"x", x},
                                          {"labels", labels},
                                          {"label_lengths", Tensor(Shape{1}, static_cast<double>(length))},
                                          {"input_lengths", Tensor(Shape{1}, static_cast<double>(steps))}});
        const auto paths = enumerate_paths(p, label, blank);
        const bool feasible = steps >= ctc_least_steps(label);
        ASSERT_EQ(paths.probability > 0, feasible);
        if (!feasible) {
          ASSERT_EQ(got.at("loss")(0), INFINITY);
          ASSERT_EQ(largest(got.at("d_x")), 0);
          continue;
        }
        ASSERT_NEAR(got.at("loss")(0), -std::log(paths.probability), 1e-10);
        for (std::int64_t t = 0; t < steps; ++t)
          for (std::int64_t k = 0; k < classes; ++k)
            ASSERT_NEAR(got.at("d_x")(t, 0, k), p(t, k) - paths.occupancy(t, k) / paths.probability, 1e-10);
      }
}

}  // namespace
}  // namespace scrawl::test
