#include "models/metrics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace scrawl {
namespace {

TEST(metrics, wilson_interval_equals_published_values) {
  // Newcombe, Statistics in Medicine 17 (1998), table I: score method without continuity correction.
  const Interval a = wilson(81, 263);
  EXPECT_NEAR(a.low, 0.2553, 5e-5);
  EXPECT_NEAR(a.high, 0.3662, 5e-5);
  const Interval b = wilson(0, 20);
  EXPECT_NEAR(b.low, 0.0, 5e-5);
  EXPECT_NEAR(b.high, 0.1611, 5e-5);
  const Interval none = wilson(0, 0);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_EQ(none.high, 1.0);
}

TEST(metrics, macro_means_are_over_the_classes_that_occur) {
  ClassifierMetrics metrics(4);  // class 3 never occurs
  for (const auto& [truth, predicted] : {std::pair(0, 0), {0, 0}, {0, 1}, {1, 1}, {2, 1}})
    metrics.add(truth, predicted);
  EXPECT_DOUBLE_EQ(metrics.accuracy(), 3.0 / 5);
  const auto macro = metrics.macro();
  EXPECT_DOUBLE_EQ(macro.precision, (1.0 + 1.0 / 3 + 0.0) / 3);
  EXPECT_DOUBLE_EQ(macro.recall, (2.0 / 3 + 1.0 + 0.0) / 3);
  EXPECT_DOUBLE_EQ(macro.f1, (0.8 + 0.5 + 0.0) / 3);
  EXPECT_EQ(metrics.count(0, 1), 1);
  EXPECT_THROW(metrics.add(4, 0), DataError);
}

TEST(metrics, error_rates_are_of_the_whole_set) {
  TextMetrics metrics;
  metrics.add("abcdefgh", "abcdefgh", "");
  metrics.add("xy", "zz", "");
  EXPECT_DOUBLE_EQ(metrics.cer(), 2.0 / 10);  // not the mean of 0 and 1
  EXPECT_DOUBLE_EQ(metrics.wer(), 1.0 / 2);
  EXPECT_DOUBLE_EQ(metrics.exact(), 1.0 / 2);
  EXPECT_DOUBLE_EQ(metrics.char_accuracy(), 8.0 / 10);
}

TEST(metrics, words_are_compared_whole) {
  TextMetrics metrics;
  metrics.add("der alte Mann", "der ale Mann", "");
  EXPECT_DOUBLE_EQ(metrics.wer(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.cer(), 1.0 / 13);
  EXPECT_DOUBLE_EQ(metrics.char_accuracy(), 7.0 / 13);  // behind the lost letter only an n still matches
}

TEST(metrics, bootstrap_interval_holds_the_rate_and_repeats) {
  TextMetrics metrics;
  for (int i = 0; i < 200; ++i) metrics.add("abcd", i % 4 == 0 ? "abxd" : "abcd", "");
  const Interval first = metrics.cer_ci95(), second = metrics.cer_ci95();
  EXPECT_LT(first.low, metrics.cer());
  EXPECT_GT(first.high, metrics.cer());
  // The standard error of a mean of 200 values of 0 or 1/4: 0.25 sqrt(0.25 * 0.75 / 200) = 0.0077.
  EXPECT_NEAR(first.high - first.low, 2 * 1.96 * 0.0077, 0.006);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
}

TEST(metrics, resampling_writers_widens_the_interval_of_dependent_samples) {
  TextMetrics by_sample, by_writer;
  for (int writer = 0; writer < 8; ++writer)
    for (int i = 0; i < 50; ++i) {
      const char* read = writer % 2 == 0 ? "abcd" : "abxx";  // a writer is read well or badly
      by_sample.add("abcd", read, "");
      by_writer.add("abcd", read, std::to_string(writer));
    }
  const Interval narrow = by_sample.cer_ci95(), wide = by_writer.cer_ci95();
  EXPECT_GT(wide.high - wide.low, 3 * (narrow.high - narrow.low));
}

TEST(metrics, json_has_the_fields_of_eval) {
  ClassifierMetrics classifier(2);
  classifier.add(1, 1);
  for (const char* key :
       {"samples", "accuracy", "accuracy_ci95", "precision_macro", "recall_macro", "f1_macro"})
    EXPECT_TRUE(classifier.to_json().contains(key)) << key;
  TextMetrics text;
  text.add("a", "a", "");
  for (const char* key : {"samples", "cer", "cer_ci95", "wer", "wer_ci95", "exact", "char_accuracy"})
    EXPECT_TRUE(text.to_json().contains(key)) << key;
  EXPECT_EQ(classifier.to_json()["accuracy_ci95"].size(), 2u);
}

}  // namespace
}  // namespace scrawl
