#include "runtime/train/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/io/messages.h"

namespace scrawl {
namespace {

const Fingerprint sample{.build_id = "ab12",
                         .cpu = "A CPU",
                         .cpu_flags = "avx2 avx512f",
                         .libraries = "L 1",
                         .kernels = "auto",
                         .f32_products = "exact",
                         .threads = 8,
                         .multiprocessors = 108};

TEST(fingerprint, the_build_id_is_that_of_a_linked_executable) {
  EXPECT_THAT(build_id(), ::testing::MatchesRegex("[0-9a-f]{40}"));
}

TEST(fingerprint, is_the_same_each_time_and_survives_json) {
  const Selection selection{
      .kernels = KernelSet::native, .threads = 4, .f32_products = F32Products::tf32, .multiprocessors = 132};
  const auto now = current_fingerprint(selection, "library 1.2");
  EXPECT_EQ(now.threads, 4);
  EXPECT_EQ(now.multiprocessors, 132);
  EXPECT_EQ(now.kernels, "native");
  EXPECT_EQ(now.f32_products, "tf32");
  EXPECT_EQ(now.libraries, "library 1.2");
  EXPECT_EQ(now, current_fingerprint(selection, "library 1.2"));
  EXPECT_NO_THROW(require_same_fingerprint(nlohmann::json::parse(nlohmann::json(now).dump()), now));
}

TEST(fingerprint, a_difference_is_a_usage_error_that_names_it) {
  auto other = sample;
  other.build_id = "cd34";
  EXPECT_MESSAGE(require_same_fingerprint(sample, other), UsageError, "build: expected ab12, got cd34",
                 "--load");
  other = sample;
  other.cpu = "B CPU";
  EXPECT_MESSAGE(require_same_fingerprint(sample, other), UsageError, "processor: expected A CPU, got B CPU");
  other = sample;
  other.cpu_flags = "avx2";
  EXPECT_MESSAGE(require_same_fingerprint(sample, other), UsageError,
                 "processor flags: expected avx2 avx512f, got avx2");
  other.threads = 2;
  EXPECT_MESSAGE(require_same_fingerprint(sample, other), UsageError, "processor flags",
                 "threads: expected 8, got 2");
  other = sample;
  other.f32_products = "tf32";
  other.multiprocessors = 132;
  EXPECT_MESSAGE(require_same_fingerprint(sample, other), UsageError,
                 "products of f32: expected exact, got tf32", "multiprocessors: expected 108, got 132");
}

TEST(fingerprint, a_choice_file_is_needed_again_by_its_hash_wherever_it_lies) {
  auto chosen = sample;
  chosen.choices = "0123";
  chosen.choices_file = "/first/place.json";
  EXPECT_MESSAGE(require_same_fingerprint(chosen, sample), UsageError, "choice file: expected 0123, got none",
                 "began with --choices /first/place.json");
  EXPECT_MESSAGE(require_same_fingerprint(sample, chosen), UsageError, "choice file: expected none, got 0123",
                 "began without --choices");
  auto other = chosen;
  other.choices = "4567";
  EXPECT_MESSAGE(require_same_fingerprint(chosen, other), UsageError, "choice file: expected 0123, got 4567");
  auto moved = chosen;
  moved.choices_file = "/second/place.json";
  EXPECT_NO_THROW(require_same_fingerprint(chosen, moved));
}

TEST(fingerprint, a_record_without_one_is_a_data_error) {
  for (const nlohmann::json& bad :
       {nlohmann::json(), nlohmann::json(3), nlohmann::json{{"build_id", "x"}},
        nlohmann::json{{"build_id", 1}, {"cpu", ""}, {"cpu_flags", ""}, {"threads", 1}}})
    EXPECT_MESSAGE(require_same_fingerprint(bad, sample), DataError, "expected the fingerprint of a run");
}

}  // namespace
}  // namespace scrawl
