/// The machine finds what is wrong with a kernel, and nothing wrong with one that is right.

#include "kernels/simt/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "kernels/simt/symbol.h"
#include "tests/simt/teaching.h"

namespace scrawl::simt {
namespace {

constexpr std::uint64_t seeds = 20;

std::string text(const std::optional<Report>& report) { return report ? report->message : "nothing"; }

teaching::Lesson lesson(std::string_view name) {
  const auto all = teaching::right_lessons();
  return *std::ranges::find(all, name, &teaching::Lesson::name);
}

TEST(machine, right_kernels_are_right_under_every_schedule) {
  Machine machine;
  for (const auto& lesson : teaching::right_lessons())
    for (const int turn : {0, 1, 7, 64})
      for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto [report, right] = lesson.run(machine, {.seed = seed, .accesses_per_turn = turn});
        EXPECT_TRUE(!report && right) << lesson.name << ", seed " << seed << ": " << text(report);
      }
}

TEST(machine, right_kernels_have_no_races) {
  Machine machine;
  for (const auto& lesson : teaching::right_lessons())
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const auto [report, right] = lesson.run(machine, {.seed = seed, .look_for = Schedule::LookFor::races});
      EXPECT_TRUE(!report && right) << lesson.name << ", seed " << seed << ": " << text(report);
    }
}

TEST(machine, races_are_found_whatever_the_schedule) {
  Machine machine;
  for (const auto& lesson : teaching::racing_lessons())
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const auto report = lesson.run(machine, {.seed = seed, .look_for = Schedule::LookFor::races}).report;
      ASSERT_TRUE(report) << lesson.name << ", seed " << seed;
      EXPECT_EQ(name_of(report->fault), name_of(Fault::race)) << lesson.name << ": " << text(report);
    }
}

TEST(machine, wrong_kernels_are_reported_under_every_schedule) {
  Machine machine;
  for (const auto& lesson : teaching::wrong_lessons())
    for (const int turn : {0, 7})
      for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto report = lesson.run(machine, {.seed = seed, .accesses_per_turn = turn}).report;
        ASSERT_TRUE(report) << lesson.name << ", seed " << seed;
        EXPECT_EQ(name_of(report->fault), name_of(lesson.fault)) << lesson.name << ": " << text(report);
        EXPECT_THAT(report->message, testing::HasSubstr(lesson.words)) << lesson.name;
      }
}

TEST(machine, a_report_repeats_with_its_seed) {
  for (const auto& lesson : teaching::wrong_lessons()) {
    Machine first(1), second(2);
    for (std::uint64_t seed = 0; seed < seeds; ++seed)
      EXPECT_EQ(text(lesson.run(first, {.seed = seed}).report),
                text(lesson.run(second, {.seed = seed}).report));
  }
}

/// A lesson runs wrong in some way under some seed.
bool is_noticed(Machine& machine, const teaching::Lesson& lesson, const Schedule& mutant) {
  for (std::uint64_t seed = 0; seed < 3 * seeds; ++seed)
    for (const auto look_for : {Schedule::LookFor::faults, Schedule::LookFor::races}) {
      auto schedule = mutant;
      schedule.seed = seed;
      schedule.accesses_per_turn = 4;
      schedule.look_for = look_for;
      const auto [report, right] = lesson.run(machine, schedule);
      if (report || !right) return true;
    }
  return false;
}

/// Barriers, waits and shuffles left out, by all lanes or by one: noticed by results or faults, and by races.
TEST(machine, a_mutant_without_any_one_building_block_is_noticed) {
  int mutants = 0, noticed = 0;
  for (const auto& lesson : teaching::right_lessons()) {
    Machine machine;
    ASSERT_FALSE(lesson.run(machine, {}).report);
    for (const auto& [site, visits] : std::vector(machine.visits()))
      for (const bool divergent : {false, true}) {
        ++mutants;
        const bool was_noticed =
            is_noticed(machine, lesson,
                       {.without = divergent ? nullptr : &site, .divergent = divergent ? &site : nullptr});
        noticed += was_noticed;
        EXPECT_TRUE(was_noticed) << lesson.name << " without " << to_string(site)
                                 << (divergent ? " in one lane" : "");
      }
  }
  std::cout << "mutants: " << noticed << " of " << mutants << " noticed\n";
  EXPECT_EQ(mutants, 2 * 25);
}

/// Raised or waited for next to where they are.
TEST(machine, a_mutant_with_another_flag_is_noticed) {
  int mutants = 0;
  for (const auto& lesson : teaching::right_lessons()) {
    Machine machine;
    ASSERT_FALSE(lesson.run(machine, {}).report);
    for (const auto& [site, visits] : std::vector(machine.visits())) {
      if (site.name != "raise_flag" && site.name != "wait_flag") continue;
      ++mutants;
      EXPECT_TRUE(is_noticed(machine, lesson, {.shifted = &site}))
          << lesson.name << " with another flag in " << to_string(site);
    }
  }
  EXPECT_EQ(mutants, 2 * 3);
}

TEST(machine, launches_that_a_gpu_would_refuse_are_refused) {
  Machine machine;
  const auto message = [&](const Grid& grid) { return text(machine.run(grid, {})); };
  EXPECT_THAT(message({.kernel = "k", .threads = 1025}), testing::HasSubstr("1 to 1024 threads"));
  EXPECT_THAT(message({.kernel = "k", .blocks = {1, 65536}}), testing::HasSubstr("65535"));
  EXPECT_THAT(message({.kernel = "k", .shared_bytes = 1 << 20}), testing::HasSubstr("shared memory"));
}

TEST(address_space, memory_is_undefined_and_never_given_out_twice) {
  AddressSpace memory;
  auto* const first = memory.allocate(100);
  EXPECT_EQ(*memory.states(first), State::undefined);
  EXPECT_EQ(memory.states(first)[100], State::unallocated);
  EXPECT_TRUE(std::isnan(*reinterpret_cast<float*>(first)));
  EXPECT_TRUE(memory.release(first));
  EXPECT_FALSE(memory.release(first));
  EXPECT_EQ(*memory.states(first), State::unallocated);
  EXPECT_NE(memory.allocate(100), first);
}

TEST(machine, counts_what_all_lanes_of_a_launch_do) {
  constexpr std::uint64_t blocks = 3, lanes = 96;
  const auto reverse = lesson("reverse");
  for (const std::uint64_t asked_for : {1, 2, 3, 100}) {
    Machine machine;
    const auto counted_blocks = std::min(asked_for, blocks);
    EXPECT_FALSE(reverse.run(machine, {.counted_blocks = asked_for}).report);
    ASSERT_EQ(machine.counted().size(), 1u);
    const auto& launch = machine.counted()[0];
    EXPECT_EQ(launch.kernel, "reverse");
    EXPECT_THAT(function_at(launch.function), testing::HasSubstr("reverse(int const*, int*)"));
    EXPECT_EQ(launch.blocks.x, blocks);
    EXPECT_EQ(launch.counted_blocks, counted_blocks);
    const auto& [global, shared] = launch.traffic;
    for (const auto& of : {global, shared}) {  // each lane reads one value and writes one, in both
      EXPECT_EQ(of.reads, counted_blocks * lanes);
      EXPECT_EQ(of.writes, counted_blocks * lanes);
      EXPECT_EQ(of.read_bytes, counted_blocks * lanes * sizeof(int));
      EXPECT_EQ(of.written_bytes, counted_blocks * lanes * sizeof(int));
    }
    const auto& barrier = launch.visits.at("sync_block");
    EXPECT_EQ(barrier.all, counted_blocks * lanes);
    EXPECT_EQ(barrier.one, 1u);
  }
}

TEST(machine, runs_only_the_blocks_that_are_counted) {
  const auto reverse = lesson("reverse");
  Machine machine;
  EXPECT_FALSE(reverse.run(machine, {.counted_blocks = 2}).right) << "all three blocks ran";
  EXPECT_TRUE(reverse.run(machine, {.counted_blocks = 3}).right);
  EXPECT_TRUE(reverse.run(machine, {}).right);
  EXPECT_EQ(machine.counted().size(), 2u) << "nothing is counted unless asked for";
  machine.forget_counted();
  EXPECT_TRUE(machine.counted().empty());
}

}  // namespace
}  // namespace scrawl::simt
