#include "runtime/graph/memory.h"

#include <gtest/gtest.h>

#include <random>

namespace scrawl {
namespace {

bool overlap(std::size_t a, std::size_t a_bytes, std::size_t b, std::size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

TEST(memory_plan, lifetimes_that_meet_never_share_memory) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 60; ++i) {
      const int first = static_cast<int>(random() % 40);
      lifetimes.push_back({random() % 100000, first, first + static_cast<int>(random() % 10)});
    }
    const auto plan = plan_memory(lifetimes);
    for (std::size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_LE(plan.offsets[i] + lifetimes[i].bytes, plan.arena_bytes);
      EXPECT_EQ(plan.offsets[i] % arena_alignment, 0u);
      for (std::size_t j = 0; j < i; ++j) {
        const bool meet = lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last;
        if (meet) {
          EXPECT_FALSE(overlap(plan.offsets[i], lifetimes[i].bytes, plan.offsets[j], lifetimes[j].bytes));
        }
      }
    }
    EXPECT_GE(plan.arena_bytes, plan.least_bytes);
  }
}

TEST(memory_plan, memory_is_used_again_after_a_lifetime_ends) {
  const auto plan = plan_memory({{1024, 0, 1}, {1024, 2, 3}, {1024, 4, 5}});
  EXPECT_EQ(plan.arena_bytes, 1024u);
  EXPECT_EQ(plan.least_bytes, 1024u);
}

TEST(memory_plan, empty_lifetimes_take_nothing) {
  EXPECT_EQ(plan_memory({{0, 0, 9}, {0, 2, 3}}).arena_bytes, 0u);
}

}  // namespace
}  // namespace scrawl
