#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bench/kernels/check.h"

namespace scrawl::bench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(difference, is_none_within_the_tolerance) {
  EXPECT_THAT(difference({{"y", {1.5f, 2.501f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3), IsEmpty());
}

TEST(difference, names_the_output_that_is_off) {
  EXPECT_THAT(difference({{"y", {1.5f, 2.6f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3),
              HasSubstr("y: expected a relative distance"));
  EXPECT_THAT(difference({{"y", {1.5f, NAN}}}, {{"y", {1.5f, 2.5f}}}, 1e-3), HasSubstr("y: "));
  EXPECT_THAT(difference({{"y", {1.5f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3),
              HasSubstr("expected 2 elements, got 1"));
  EXPECT_THAT(difference({}, {{"y", {1.5f}}}, 1e-3), HasSubstr("expected 1 elements, got 0"));
}

TEST(difference, lets_one_integer_of_a_hundred_differ) {
  Values expected{{"argmax", std::vector<float>(200, 3)}}, got = expected;
  got["argmax"][7] = got["argmax"][9] = 1;
  EXPECT_THAT(difference(got, expected, 1e-3), IsEmpty());
  got["argmax"][8] = 1;
  EXPECT_THAT(difference(got, expected, 1e-3), HasSubstr("3 of 200 integers differ"));
}

TEST(difference, of_what_was_never_written_shows) {
  const Values unwritten{{"y", {NAN, NAN}}};
  EXPECT_THAT(difference(unwritten, unwritten, 0), HasSubstr("y: "));
}

TEST(problems, have_names_of_their_own) {
  std::set<std::string> names;
  for (const auto& family : families(Extents::networks))
    for (const auto& type : family.types)
      for (const auto batch : family.batches)
        EXPECT_TRUE(names.insert(family.make(batch, numbers_of(type)).name).second) << family.operation;
  EXPECT_GT(names.size(), 500u);
  EXPECT_TRUE(names.contains("conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]"));
}

TEST(problems, cost_what_the_roofline_says) {
  for (const auto& family : families(Extents::networks)) {
    if (family.operation != "conv2d.forward" || family.layer != "b2") continue;
    const auto cost = family.make(64, numbers_of("bf16")).cost;
    EXPECT_NEAR(cost.flops / 64, 1850e6, 5e6);
    EXPECT_EQ(cost.bytes, 2.0 * (64 * 512 * 30 * 30 + 256 * 512 * 9 + 64 * 256 * 28 * 28));
  }
}

TEST(problems, of_moments_cost_the_convolution_and_two_vectors) {
  std::map<std::string, Cost> costs;
  for (const auto& family : families(Extents::networks))
    if (family.layer == "a2") costs[family.operation] = family.make(64, numbers_of("bf16")).cost;
  ASSERT_TRUE(costs.contains("conv2d_moments.forward"));
  EXPECT_EQ(costs["conv2d_moments.forward"].flops, costs["conv2d.forward"].flops);
  EXPECT_EQ(costs["conv2d_moments.forward"].bytes, costs["conv2d.forward"].bytes + 2 * 64 * sizeof(float));
}

// Each variant in turn, by leaving out those before it, and none of them twice.
TEST(variants, are_taken_one_by_one) {
  const auto device = open_device({.device = "cpu", .threads = 1});
  const auto problem = copy_of(4096);
  const auto names = problem.variants(*device, device->selection());
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const auto& name : names) {
    const auto before = all_before(problem, *device, device->selection(), name);
    ASSERT_TRUE(before.has_value());
    auto selection = device->selection();
    selection.without = *before;
    const auto work = problem.place(*device, selection);
    EXPECT_EQ(work->variant(), name);
    work->run();
    const auto values = work->outputs(1 << 20).at("y");
    EXPECT_EQ(values.size(), 1024u);
    EXPECT_THAT(values, testing::Each(testing::Not(testing::IsNan())));
  }
  EXPECT_EQ(all_before(problem, *device, device->selection(), "none of them"), std::nullopt);
}

}  // namespace
}  // namespace scrawl::bench
