#include "models/data/order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "kernels/error.h"

namespace scrawl {
namespace {

TEST(order, an_epoch_visits_each_sample_once) {
  auto order = epoch_order(1000, 7, 3);
  std::ranges::sort(order);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(order, epochs_and_seeds_differ_and_repeat) {
  const auto order = epoch_order(1000, 7, 3);
  EXPECT_EQ(epoch_order(1000, 7, 3), order);
  EXPECT_NE(epoch_order(1000, 7, 4), order);
  EXPECT_NE(epoch_order(1000, 8, 3), order);
}

TEST(order, every_sample_reaches_every_place_equally_often) {
  constexpr int epochs = 3000, n = 5;
  std::array<std::array<int, n>, n> seen{};
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto order = epoch_order(n, 1, epoch);
    for (std::size_t place = 0; place < n; ++place) ++seen[place][order[place]];
  }
  for (const auto& row : seen)
    for (const int count : row) EXPECT_NEAR(count, epochs / n, 5 * std::sqrt(epochs * 0.2 * 0.8));
}

/// 900 of class 0, 90 of class 1, 10 of class 2, none of class 3.
std::vector<std::int32_t> unbalanced() {
  std::vector<std::int32_t> classes(1000, 0);
  std::fill(classes.begin() + 900, classes.begin() + 990, 1);
  std::fill(classes.begin() + 990, classes.end(), 2);
  return classes;
}

std::map<int, int> class_counts(const std::vector<std::uint32_t>& order) {
  std::map<int, int> counts;
  for (const std::uint32_t i : order) ++counts[unbalanced()[i]];
  return counts;
}

TEST(order, power_one_makes_classes_equally_frequent) {
  const auto counts = class_counts(balanced_epoch_order(unbalanced(), 1, 1, 0));
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(counts.at(c), 333, 1);
}

TEST(order, power_zero_leaves_classes_as_they_are) {
  auto order = balanced_epoch_order(unbalanced(), 0, 1, 0);
  std::ranges::sort(order);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(order, powers_between_weigh_by_the_root) {
  const auto counts = class_counts(balanced_epoch_order(unbalanced(), 0.5, 1, 0));
  const double sum = std::sqrt(900) + std::sqrt(90) + std::sqrt(10);
  EXPECT_NEAR(counts.at(0), 1000 * std::sqrt(900) / sum, 1);
  EXPECT_NEAR(counts.at(2), 1000 * std::sqrt(10) / sum, 1);
}

TEST(order, a_small_class_repeats_evenly_and_a_large_one_is_drawn_anew) {
  const auto first = balanced_epoch_order(unbalanced(), 1, 1, 0),
             second = balanced_epoch_order(unbalanced(), 1, 1, 1);
  std::map<std::uint32_t, int> seen;
  for (const std::uint32_t i : first) ++seen[i];
  for (std::uint32_t i = 990; i < 1000; ++i) EXPECT_NEAR(seen[i], 33, 1);
  for (std::uint32_t i = 0; i < 900; ++i) EXPECT_LE(seen[i], 1);
  EXPECT_NE(first, second);
  EXPECT_EQ(balanced_epoch_order(unbalanced(), 1, 1, 0), first);
}

TEST(order, a_power_outside_zero_to_one_is_a_usage_error) {
  EXPECT_THROW(balanced_epoch_order(unbalanced(), 1.5, 1, 0), UsageError);
  EXPECT_THROW(balanced_epoch_order(unbalanced(), std::nan(""), 1, 0), UsageError);
}

}  // namespace
}  // namespace scrawl
