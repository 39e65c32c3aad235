#include "bench/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

using testing::ElementsAre;

/// Time that only passes when work says so.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(const double& now) : now_(now) {}
  void start() override { start_ = now_; }
  double stop_us() override { return now_ - start_; }

 private:
  const double& now_;
  double start_ = 0;
};

TEST(summary, percentiles_interpolate_between_ranks) {
  const double samples[] = {50, 10, 40, 20, 30, 1000};  // sorted: 10 20 30 40 50 1000
  const Summary s = summarize(samples);
  EXPECT_DOUBLE_EQ(s.median, 35);
  EXPECT_DOUBLE_EQ(s.p10, 15);
  EXPECT_DOUBLE_EQ(s.p90, 525);
  EXPECT_DOUBLE_EQ(s.mad, 15);  // of 5 5 15 15 25 965
  EXPECT_EQ(s.samples, 6);
}

TEST(summary, one_sample_is_its_own_distribution) {
  const double samples[] = {7};
  const Summary s = summarize(samples);
  EXPECT_EQ(s.median, 7);
  EXPECT_EQ(s.p10, 7);
  EXPECT_EQ(s.p90, 7);
  EXPECT_EQ(s.mad, 0);
}

TEST(summary, no_samples_are_a_usage_error) { EXPECT_THROW(summarize({}), UsageError); }

TEST(timed, work_is_repeated_until_a_sample_lasts_long_enough) {
  double now = 0;
  FakeClock clock(now);
  Timed timed([&] { now += 30; }, clock, {.warmup = 0, .min_sample_us = 200});
  EXPECT_EQ(timed.runs(), 8);  // 4 runs last 120 us, 8 last 240
  EXPECT_DOUBLE_EQ(timed(), 30);
}

TEST(timed, warm_up_runs_are_not_timed) {
  double now = 0;
  FakeClock clock(now);
  int calls = 0;
  Timed timed([&] { now += calls++ < 2 ? 10000 : 500; }, clock, {.warmup = 2, .min_sample_us = 200});
  EXPECT_EQ(timed.runs(), 1);
  EXPECT_DOUBLE_EQ(timed(), 500);
}

TEST(timed, cold_work_runs_once_a_sample_after_an_untimed_flush) {
  double now = 0;
  FakeClock clock(now);
  int flushes = 0;
  const auto flush = [&] {
    now += 5000;
    ++flushes;
  };
  Timed timed([&] { now += 3; }, clock, {.before = flush});
  EXPECT_EQ(timed.runs(), 1);
  EXPECT_DOUBLE_EQ(timed(), 3);
  EXPECT_DOUBLE_EQ(timed(), 3);
  EXPECT_EQ(flushes, 2);
}

TEST(alternate, order_reverses_every_round) {
  double now = 0;
  std::string order;
  const Sampler samplers[] = {[&] {
                                order += 'A';
                                return 1.0;
                              },
                              [&] {
                                order += 'B';
                                return 2.0;
                              }};
  const auto samples = alternate(samplers, {.least = 3, .most = 3}, FakeClock(now));
  EXPECT_EQ(order, "ABBAAB");
  EXPECT_THAT(samples, ElementsAre(ElementsAre(1, 1, 1), ElementsAre(2, 2, 2)));
}

TEST(alternate, ends_when_the_time_is_spent) {
  double now = 0;
  const Sampler samplers[] = {[&] {
    now += 3e5;
    return 3e5;
  }};
  EXPECT_EQ(alternate(samplers, {.seconds = 1, .least = 1, .most = 100}, FakeClock(now))[0].size(), 4u);
}

TEST(alternate, takes_the_least_number_of_samples_however_slow) {
  double now = 0;
  const Sampler samplers[] = {[&] {
    now += 1e9;
    return 1e9;
  }};
  EXPECT_EQ(alternate(samplers, {.seconds = 1, .least = 5, .most = 100}, FakeClock(now))[0].size(), 5u);
}

TEST(alternate, takes_no_more_than_the_most_samples) {
  double now = 0;
  const Sampler samplers[] = {[] { return 0.0; }};
  EXPECT_EQ(alternate(samplers, {.seconds = 1, .least = 5, .most = 20}, FakeClock(now))[0].size(), 20u);
}

TEST(compare, drift_of_the_machine_leaves_the_ratio_alone) {
  double now = 0, ours_slowdown = 1, theirs_slowdown = 1;
  const Sampler ours = [&] { return 10 * (ours_slowdown *= 1.5); };
  const Peer peers[] = {{"theirs", [&] { return 20 * (theirs_slowdown *= 1.5); }}};
  const Comparison c = compare(ours, peers, {.least = 9, .most = 9}, FakeClock(now));
  EXPECT_GT(c.ours.p90, 4 * c.ours.p10);
  EXPECT_DOUBLE_EQ(c.ratio.median, 2);
  EXPECT_NEAR(c.ratio.mad, 0, 1e-12);
}

TEST(compare, the_fastest_peer_is_the_yardstick) {
  double now = 0;
  const Peer peers[] = {
      {"slow", [] { return 90.0; }}, {"fast", [] { return 30.0; }}, {"middling", [] { return 40.0; }}};
  const Comparison c = compare([] { return 20.0; }, peers, {.least = 2, .most = 2}, FakeClock(now));
  EXPECT_EQ(c.peer, "fast");
  EXPECT_DOUBLE_EQ(c.peer_us.median, 30);
  EXPECT_EQ(c.all.size(), std::size(peers)) << "each is told of";
  for (std::size_t i = 0; i < c.all.size(); ++i) {
    EXPECT_EQ(c.all[i].name, peers[i].name);
    EXPECT_DOUBLE_EQ(c.all[i].ratio.median, c.all[i].us.median / 20);
  }
  EXPECT_DOUBLE_EQ(c.ratio.median, 1.5);
}

TEST(compare, without_peers_only_ours_is_known) {
  double now = 0;
  const Comparison c = compare([] { return 20.0; }, {}, {.least = 2, .most = 2}, FakeClock(now));
  EXPECT_EQ(c.ours.median, 20);
  EXPECT_EQ(c.peer, "");
}

TEST(cache_flush, touches_memory_without_a_fault_when_smaller_than_a_line) {
  CacheFlush flush(1);
  flush();
  EXPECT_GT(cold_bytes(), 0u);
}

}  // namespace
}  // namespace scrawl::bench
