#include "bench/kernels/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

using testing::HasSubstr;

/// So long a run, and these outputs.
class Given final : public Work {
 public:
  Given(Values values, double us) : us(us), values_(std::move(values)) { ++alive; }
  ~Given() override { --alive; }
  void run() override {
    if (us < 0) throw DeviceError("it fails");
  }
  const std::string& variant() const override { return name_; }
  Values outputs(std::int64_t) override { return values_; }

  double us;
  static inline int alive = 0;

 private:
  Values values_;
  std::string name_;
};

/// Seconds pass as contenders are placed.
class Told final : public Clock {
 public:
  explicit Told(const double& now) : now_(now) {}
  void start() override { start_ = now_; }
  double stop_us() override { return 1e6 * (now_ - start_); }

 private:
  const double& now_;
  double start_ = 0;
};

class SearchAmong : public testing::Test {
 protected:
  Contender contender(std::string name, double us, Values values, std::string type = "") {
    return {.name = std::move(name), .type = std::move(type), .place = [=, this] {
              now_ += 1;
              most_ = std::max(most_, Given::alive + 1);
              return std::make_unique<Given>(values, us);
            }};
  }
  Found run(const std::vector<Contender>& contenders, double seconds = 100) {
    return search(
        contenders, expected_, {.tolerance = 1e-3, .seconds = seconds, .compared = 10},
        [](Work& work) { return Summary{.median = static_cast<Given&>(work).us, .samples = 1}; }, Told(now_));
  }

  Values right_{{"y", {1.5f, 2.5f}}}, off_{{"y", {1.5f, -2.5f}}}, expected_ = right_;
  double now_ = 0;
  int most_ = 0;
};

TEST_F(SearchAmong, takes_the_fastest_that_is_right) {
  const auto found = run({contender("a", 9, right_),
                          contender("b", 4, right_),
                          contender("wrong", 1, off_),
                          contender("failing", -1, right_),
                          contender("c", 6, right_),
                          {.name = "refused", .place = []() -> std::unique_ptr<Work> {
                             throw DeviceError("it is not to be had");
                           }}});
  ASSERT_EQ(found.best.size(), 1u);
  EXPECT_EQ(found.best[0].name, "b");
  EXPECT_EQ(found.counts.plans, 6);
  EXPECT_EQ(found.counts.tried, 5);
  EXPECT_EQ(found.counts.wrong, 1);
  EXPECT_EQ(found.counts.failed, 1);
  EXPECT_EQ(found.counts.refused, 1);
  EXPECT_THAT(found.attempts[2].wrong, HasSubstr("y: "));
  EXPECT_EQ(found.attempts[2].us.samples, 0);
  EXPECT_EQ(found.attempts[3].refused, "it fails");
  EXPECT_EQ(found.attempts[5].refused, "it is not to be had");
  EXPECT_LE(most_, 2) << "one beside the best is in memory";
  EXPECT_EQ(Given::alive, 1);
}

TEST_F(SearchAmong, has_the_best_of_each_type) {
  const auto found = run({contender("a", 9, right_, "bf16"), contender("b", 4, right_, "f16"),
                          contender("c", 8, right_, "bf16"), contender("d", 5, right_, "f16")});
  ASSERT_EQ(found.best.size(), 2u);
  EXPECT_EQ(found.best[0].name, "c");
  EXPECT_EQ(found.best[1].name, "b");
}

TEST_F(SearchAmong, says_when_it_was_cut_short_and_gives_the_first_its_time) {
  const std::vector<Contender> four{contender("a", 9, right_), contender("b", 4, right_),
                                    contender("c", 3, right_), contender("d", 2, right_)};
  EXPECT_FALSE(run(four, 3.5).counts.is_cut_short);
  const auto found = run(four, 1.5);
  EXPECT_TRUE(found.counts.is_cut_short);
  EXPECT_EQ(found.counts.plans, 4);
  EXPECT_EQ(found.counts.tried, 3);
  EXPECT_EQ(found.best[0].name, "c");
}

TEST_F(SearchAmong, leaves_out_nobody_who_is_reported_alone) {
  std::vector<Contender> four{contender("a", 9, right_), contender("b", 4, right_), contender("c", 3, right_),
                              contender("d", 2, right_)};
  four[3].row = "lstm.forward[f16]";
  const auto found = run(four, 0.5);
  EXPECT_TRUE(found.counts.is_cut_short);
  ASSERT_EQ(found.attempts.size(), 3u) << "c is left out";
  EXPECT_EQ(found.attempts[2].row, "lstm.forward[f16]");
  EXPECT_EQ(found.best[0].name, "d");
}

TEST_F(SearchAmong, compares_the_outputs_that_both_have) {
  expected_["argmax"] = {3};
  EXPECT_EQ(run({contender("a", 9, right_)}).counts.wrong, 0);
  EXPECT_EQ(run({contender("a", 9, {{"other", {1}}})}).counts.wrong, 1);
  EXPECT_EQ(run({contender("a", 9, {})}).counts.wrong, 1);
}

TEST_F(SearchAmong, takes_numbers_of_the_first_for_right_where_nothing_else_is) {
  expected_.clear();
  const auto found = run(
      {contender("unwritten", 1, {{"y", {NAN, NAN}}}), contender("a", 9, right_), contender("b", 4, off_)});
  EXPECT_EQ(found.counts.wrong, 2);
  ASSERT_EQ(found.best.size(), 1u);
  EXPECT_EQ(found.best[0].name, "a");
}

TEST_F(SearchAmong, variants_of_a_backend_names_each_once) {
  const auto device = open_device({.device = "cpu", .threads = 1});
  const auto problem = problem_of(Name("conv2d.forward[N=2,C=8,H=4,W=6,K=16,R=3,P=1,f32]"));
  const auto all = variants_of(problem, *device, device->selection());
  ASSERT_FALSE(all.empty());
  for (const auto& each : all) EXPECT_EQ(each.place()->variant(), each.name);
}

}  // namespace
}  // namespace scrawl::bench
