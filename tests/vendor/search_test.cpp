/// The bench's search among cuDNN's ways, in host memory, on a library that computes from the descriptors it
/// is given: operands, placements, weight spaces and gradients are right where outputs are the CPU's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/kernels/check.h"
#include "bench/kernels/search.h"
#include "bench/kernels/sweep.h"

namespace scrawl::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Searches : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("SCRAWL_CUDNN", SCRAWL_FAKE_CUDNN, 1); }

  static Name tiny(const std::string& operation, const std::string& type) {
    for (const auto& [name, layer] : bench::tiny({type}))
      if (name.operation() == operation) return name;
    throw std::runtime_error("no such operation");
  }

  /// Those of the CPU in f32, from inputs that are rounded as the type's are.
  Values expected(const std::string& operation, const std::string& type) {
    const auto work = problem_of(widened(tiny(operation, type))).place(*device_, device_->selection());
    work->run();
    return work->outputs(all_);
  }

  /// The first that is tried is the fastest, unless `us` has others.
  Found found(const std::string& operation, const std::string& type) {
    auto outputs = expected(operation, type);
    const auto contenders = problem_of(tiny(operation, type)).contenders(*device_, device_->selection());
    return search(contenders, outputs,
                  {.tolerance = tolerance_of(numbers_of(type)), .seconds = 100, .compared = all_},
                  [&](Work& work) {
                    work.restore();
                    work.run();
                    return Summary{.median = us_[timed_++ % us_.size()], .samples = 1};
                  });
  }

  static std::vector<std::string> names(const Found& found) {
    std::vector<std::string> all;
    for (const auto& best : found.best) all.push_back(best.name);
    return all;
  }

  static constexpr std::int64_t all_ = 1 << 20;
  std::unique_ptr<Device> device_ = open_device({.device = "cpu", .threads = 1});
  std::vector<double> us_{3, 1, 2};
  std::size_t timed_ = 0;
};

TEST_F(Searches, of_convolutions_find_the_fastest_engine_that_is_right) {
  for (const auto* const operation : {"conv2d.forward", "conv2d.backward_weight", "conv2d_pool.forward"})
    for (const auto* const type : {"bf16", "tf32"}) {
      timed_ = 0;
      const auto result = found(operation, type);
      const auto& counts = result.counts;
      EXPECT_EQ(counts.plans, 11) << operation;
      EXPECT_EQ(counts.refused, 5) << operation;  // engines 1 to 5
      EXPECT_EQ(counts.tried, 6) << operation;
      EXPECT_EQ(counts.wrong, 1) << operation;   // engine 8
      EXPECT_EQ(counts.failed, 1) << operation;  // engine 9
      EXPECT_FALSE(counts.is_cut_short);
      ASSERT_THAT(names(result), testing::SizeIs(1)) << operation;
      EXPECT_THAT(names(result)[0], testing::StartsWith("cudnn engine 6")) << operation;
      EXPECT_THAT(result.attempts[8].wrong, HasSubstr("expected a relative distance")) << operation;
      EXPECT_THAT(result.attempts[9].refused, HasSubstr("fake: this engine fails")) << operation;
    }
}

TEST_F(Searches, of_moments_have_two_kinds) {
  us_ = {3, 6, 1, 7, 2, 5, 4, 8};  // four engines of each kind are right
  const auto result = found("conv2d_moments.forward", "bf16");
  EXPECT_EQ(result.counts.plans, 22);
  EXPECT_EQ(result.counts.wrong, 2);
  EXPECT_THAT(result.attempts[17].wrong, HasSubstr("y: "));
  EXPECT_THAT(result.attempts[16].wrong, HasSubstr("mean: "));
  EXPECT_THAT(names(result), ElementsAre("cudnn engine 6, with sums", "cudnn engine 7, without moments"));
}

TEST_F(Searches, leave_out_tensor_cores_where_f32_is_exact) {
  EXPECT_THAT(found("conv2d.forward", "f32").attempts[6].refused, HasSubstr("rounds f32 to tf32"));
}

TEST_F(Searches, of_an_lstm_are_right_in_each_type_and_report_what_is_refused) {
  for (const auto* const operation : {"lstm.forward", "lstm.backward"}) {
    for (const auto* const type : {"f32", "tf32", "f16"}) {
      timed_ = 0;
      const auto result = found(operation, type);
      ASSERT_EQ(result.attempts.size(), 4u);
      for (const auto& attempt : result.attempts) EXPECT_EQ(attempt.wrong, "") << operation << attempt.name;
      EXPECT_EQ(result.counts.failed + result.counts.refused, 1) << operation;
      EXPECT_THAT(result.attempts[2].name, HasSubstr("small_h"));
      EXPECT_THAT(result.attempts[2].refused, HasSubstr("FAKE_STATUS"));
      EXPECT_THAT(names(result), ElementsAre(std::string("cudnn persist_static ") + type));
    }
  }
}

TEST_F(Searches, of_an_lstm_in_bf16_have_the_best_of_f16_beside_it) {
  us_ = {5, 4, 9, 3, 2};  // bf16: standard, persist_dynamic; f16: standard, persist_static, persist_dynamic
  const auto result = found("lstm.backward", "bf16");
  EXPECT_THAT(names(result), ElementsAre("cudnn persist_dynamic bf16", "cudnn persist_dynamic f16"));
  EXPECT_THAT(result.attempts[1].refused, HasSubstr("an LSTM"));  // persist_static has no bf16
  EXPECT_EQ(result.attempts[0].row, tiny("lstm.backward", "bf16").text());
  EXPECT_EQ(result.attempts[4].row, tiny("lstm.backward", "f16").text());
}

TEST_F(Searches, of_an_lstm_compare_every_gradient) {
  for (const auto* const output : {"dx", "dw_ih", "dw_hh", "db"}) {
    auto outputs = expected("lstm.backward", "f32");
    ASSERT_TRUE(outputs.contains(output));
    for (float& value : outputs.at(output)) value = -value;
    const auto contenders =
        problem_of(tiny("lstm.backward", "f32")).contenders(*device_, device_->selection());
    const auto result = search(contenders, outputs, {.tolerance = 1e-4, .seconds = 100, .compared = all_},
                               [](Work&) { return Summary{.median = 1, .samples = 1}; });
    EXPECT_THAT(result.attempts[0].wrong, HasSubstr(output));
    EXPECT_THAT(result.best, IsEmpty());
  }
}

/// Gradients are added to, and the reserve is changed: a run that nobody restored for is another one.
TEST_F(Searches, of_an_lstm_restore_what_a_backward_consumes) {
  const auto contenders = problem_of(tiny("lstm.backward", "f32")).contenders(*device_, device_->selection());
  const auto work = contenders[0].place();
  EXPECT_TRUE(work->consumes());
  work->run();
  const auto first = work->outputs(all_);
  work->run();
  EXPECT_THAT(difference(work->outputs(all_), first, 1e-4), Not(IsEmpty()));
  work->restore();
  work->run();
  EXPECT_THAT(difference(work->outputs(all_), first, 0), IsEmpty());
}

TEST_F(Searches, of_ctc_offer_both_algorithms_in_f32) {
  const auto contenders = problem_of(tiny("ctc.gradient", "bf16")).contenders(*device_, device_->selection());
  ASSERT_EQ(contenders.size(), 2u);
  EXPECT_EQ(contenders[0].name, "cudnn deterministic f32");
  EXPECT_EQ(contenders[1].name, "cudnn non-deterministic f32");
  EXPECT_EQ(contenders[1].row, tiny("ctc.gradient", "f32").text());
}

}  // namespace
}  // namespace scrawl::bench
