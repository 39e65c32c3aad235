#include "models/data/split.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kernels/error.h"

namespace scrawl {
namespace {

std::vector<SampleInfo> samples(int n) {
  std::vector<SampleInfo> made;
  for (int i = 0; i < n; ++i) made.push_back({.key = fmt::format("sample/{}", i), .label = "a"});
  return made;
}

std::map<Split, int> counts(const std::vector<SampleInfo>& samples) {
  std::map<Split, int> found;
  for (const SampleInfo& sample : samples) ++found[sample.split];
  return found;
}

// Fixed for ever: another value would move samples of published splits.
TEST(split, the_hash_of_a_key_never_changes) {
  EXPECT_DOUBLE_EQ(stable_hash01(""), 0x1.ea542bd3536bdp-1);
  EXPECT_DOUBLE_EQ(stable_hash01("train/17"), 0x1.babe335b70ebdp-1);
}

TEST(split, shares_come_near_their_fractions) {
  auto set = samples(20000);
  assign_splits(set, OwnSplits::none, {.validation_fraction = 0.1, .test_fraction = 0.2});
  const auto found = counts(set);
  EXPECT_NEAR(found.at(Split::test), 4000, 4 * 57);  // four standard deviations of a binomial
  EXPECT_NEAR(found.at(Split::validation), 2000, 4 * 43);
}

TEST(split, adding_samples_moves_none) {
  auto few = samples(100), many = samples(1000);
  assign_splits(few, OwnSplits::none, {});
  assign_splits(many, OwnSplits::none, {});
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].split, many[i].split);
}

TEST(split, a_writer_is_in_one_split_only) {
  auto set = samples(2000);
  for (std::size_t i = 0; i < set.size(); ++i) set[i].writer = fmt::format("w{}", i % 50);
  assign_splits(set, OwnSplits::none, {.validation_fraction = 0.3, .test_fraction = 0.3});
  std::map<std::string, std::set<Split>> splits;
  for (const SampleInfo& sample : set) splits[sample.writer].insert(sample.split);
  for (const auto& [writer, found] : splits) EXPECT_EQ(found.size(), 1u) << writer;
  EXPECT_EQ(counts(set).size(), 3u);
}

TEST(split, validation_is_carved_from_train_alone) {
  auto set = samples(1000);
  for (std::size_t i = 0; i < 300; ++i) set[i].split = Split::test;
  assign_splits(set, OwnSplits::without_validation, {.validation_fraction = 0.5, .test_fraction = 0.5});
  const auto found = counts(set);
  EXPECT_EQ(found.at(Split::test), 300);
  EXPECT_NEAR(found.at(Split::validation), 350, 4 * 14);
}

TEST(split, a_set_with_all_splits_stays_as_it_is) {
  auto set = samples(100);
  assign_splits(set, OwnSplits::with_validation, {.validation_fraction = 0.5, .test_fraction = 0.5});
  EXPECT_EQ(counts(set).at(Split::train), 100);
}

TEST(split, fractions_beyond_the_whole_are_a_usage_error) {
  auto set = samples(1);
  EXPECT_THROW(assign_splits(set, OwnSplits::none, {.validation_fraction = 0.6, .test_fraction = 0.6}),
               UsageError);
  EXPECT_THROW(assign_splits(set, OwnSplits::none, {.validation_fraction = -0.1}), UsageError);
}

}  // namespace
}  // namespace scrawl
