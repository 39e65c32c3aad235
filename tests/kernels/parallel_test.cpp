/// Loops shared among threads: the same ranges whoever runs them, and alone while sharing gains nothing.

#include "kernels/cpu/parallel.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace scrawl::cpu {
namespace {

using std::chrono::milliseconds;
using Ranges = std::set<std::pair<std::int64_t, std::int64_t>>;

struct Ran {
  Ranges ranges;
  std::set<std::thread::id> threads;
};

Ran run(int threads, std::int64_t count, std::int64_t grain) {
  Ran ran;
  std::mutex mutex;
  parallel_for(threads, count, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::lock_guard lock(mutex);
    ran.ranges.insert({begin, end});
    ran.threads.insert(std::this_thread::get_id());
  });
  return ran;
}

/// Calls f on a thread with a Sharing of its own.
template <class F>
void on_new_thread(F f) {
  std::thread(f).join();
}

TEST(ParallelFor, cuts_into_multiples_of_the_grain) {
  EXPECT_EQ(run(3, 100, 8).ranges, (Ranges{{0, 32}, {32, 64}, {64, 100}}));
  EXPECT_EQ(run(4, 2, 1).ranges, (Ranges{{0, 1}, {1, 2}}));
  EXPECT_EQ(run(2, 7, 16).ranges, (Ranges{{0, 7}}));
  EXPECT_EQ(run(2, 0, 1).ranges, Ranges{});
}

TEST(ParallelFor, runs_the_same_ranges_alone) {
  on_new_thread([] {
    Sharing::current().set(Sharing::Policy::always);
    const auto shared = run(3, 100, 8);
    Sharing::current().set(Sharing::Policy::never);
    const auto alone = run(3, 100, 8);
    EXPECT_EQ(alone.ranges, shared.ranges);
    EXPECT_EQ(alone.threads, std::set{std::this_thread::get_id()});
#ifdef _OPENMP
    EXPECT_EQ(shared.threads.size(), 3u);
#endif
  });
}

#ifdef _OPENMP

bool is_shared() { return Sharing::current().now(Sharing::Clock::now()) != Sharing::Now::alone; }

TEST(ParallelFor, is_shared_while_threads_work_at_the_same_time) {
  on_new_thread([] {
    // Rest is work here, which takes its time whoever has the processors.
    Sharing::current().set_cost([] { return Sharing::Clock::now().time_since_epoch(); });
    run(2, 2, 1);  // starts the other thread
    for (int loop = 0; loop < 5; ++loop) {
      parallel_for(2, 3, 1, [](std::int64_t begin, std::int64_t end) {  // of 1 and 2 indices
        std::this_thread::sleep_for((end - begin) * milliseconds(30));
      });
      EXPECT_TRUE(is_shared()) << loop;
    }
  });
}

TEST(ParallelFor, is_no_longer_shared_where_threads_wait_for_each_other) {
  on_new_thread([] {
    std::mutex processor;
    const auto work = [&](std::int64_t, std::int64_t) {
      const std::lock_guard lock(processor);
      const auto begun = Sharing::current().cost();
      while (Sharing::current().cost() - begun < milliseconds(20)) {
      }
    };
    for (int loop = 0; loop < 5 && is_shared(); ++loop) parallel_for(2, 2, 1, work);
    EXPECT_FALSE(is_shared());
  });
}

#endif

/// A stretch of loops of 5 ms whose ranges cost `gain` times as much: how much of it was shared.
milliseconds shared_time(Sharing& sharing, Sharing::Clock::time_point& now, milliseconds stretch,
                         double gain) {
  constexpr Sharing::Clock::duration loop = milliseconds(5);
  milliseconds shared{};
  for (const auto end = now + stretch; now < end; now += loop) {
    const auto what = sharing.now(now);
    if (what == Sharing::Now::alone) continue;
    shared += milliseconds(5);
    if (what == Sharing::Now::shared_and_measured)
      sharing.measured(now, now + loop, std::chrono::duration_cast<Sharing::Clock::duration>(gain * loop));
  }
  return shared;
}

TEST(Sharing, goes_on_while_it_gains) {
  Sharing sharing;
  Sharing::Clock::time_point now{std::chrono::hours(1)};
  EXPECT_EQ(shared_time(sharing, now, milliseconds(1000), 1.2), milliseconds(1000));
}

TEST(Sharing, rests_while_it_gains_nothing_and_recovers) {
  Sharing sharing;
  Sharing::Clock::time_point now{std::chrono::hours(1)};
  shared_time(sharing, now, milliseconds(10000), 0.9);
  EXPECT_LT(shared_time(sharing, now, milliseconds(20000), 0.9), milliseconds(800)) << "rests grow";
  EXPECT_GT(shared_time(sharing, now, milliseconds(20000), 1.9), milliseconds(17000));
  shared_time(sharing, now, milliseconds(300), 0.5);
  EXPECT_GT(shared_time(sharing, now, milliseconds(2000), 1.9), milliseconds(1500)) << "and shrink again";
}

TEST(Sharing, takes_no_evidence_of_threads_that_slept) {
  Sharing sharing;
  for (Sharing::Clock::time_point now{std::chrono::hours(1)}; now.time_since_epoch() < std::chrono::hours(2);
       now += std::chrono::seconds(1)) {
    sharing.measured(now, now + milliseconds(40), milliseconds(30));
    ASSERT_EQ(sharing.now(now + milliseconds(41)), Sharing::Now::shared_and_measured);
  }
}

}  // namespace
}  // namespace scrawl::cpu
