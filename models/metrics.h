#pragma once
/// How well a model reads: accuracy of classifiers, error rates of text, each with a 95% interval.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace scrawl {

/// A 95% confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's score interval of a proportion; [0, 1] without trials. Source: Wilson, 1927.
Interval wilson(std::int64_t successes, std::int64_t trials);

/// A confusion matrix, and what follows from it.
class ClassifierMetrics {
 public:
  /// Throws ShapeError when `classes` is not positive.
  explicit ClassifierMetrics(int classes);

  /// Counts one sample. Throws DataError for a class out of range.
  void add(int truth, int predicted);

  std::int64_t samples() const { return samples_; }
  std::int64_t count(int truth, int predicted) const;
  double accuracy() const;  ///< correct / samples; 0 without samples
  Interval accuracy_ci95() const { return wilson(correct_, samples_); }

  /// Unweighted means over the classes that occur as truth or prediction; a class never predicted has
  /// precision 0, one without samples recall 0.
  struct Macro {
    double precision = 0, recall = 0, f1 = 0;
  };
  Macro macro() const;

  /// samples, accuracy, accuracy_ci95, precision_macro, recall_macro, f1_macro.
  nlohmann::json to_json() const;

 private:
  std::int64_t classes_;
  std::vector<std::int64_t> counts_;  // (truth, predicted)
  std::int64_t samples_ = 0;
  std::int64_t correct_ = 0;
};

/// Error rates over a whole set: sums of edits over sums of lengths, not means of per-sample rates.
class TextMetrics {
 public:
  /// Counts one sample. Both texts are UTF-8 under the model's normalisation; `writer` may be empty.
  void add(std::string_view reference, std::string_view hypothesis, std::string_view writer);

  std::int64_t samples() const { return static_cast<std::int64_t>(tallies_.size()); }
  double cer() const;            ///< edits / reference code points
  double wer() const;            ///< edits of words / reference words
  double exact() const;          ///< texts read without an error / texts
  double char_accuracy() const;  ///< code points equal at the same position / reference code points

  /// Percentile bootstrap, 1000 resamples under a fixed seed. Writers are resampled where all are known, for
  /// lines of one hand are not independent; otherwise samples. Source: Efron and Tibshirani, 1993, 13.3.
  Interval cer_ci95() const;
  Interval wer_ci95() const;

  /// samples, cer, cer_ci95, wer, wer_ci95, exact, char_accuracy.
  nlohmann::json to_json() const;

 private:
  struct Tally {
    std::int64_t char_edits = 0, chars = 0, word_edits = 0, words = 0, matches = 0, exact = 0;
  };
  using Field = std::int64_t Tally::*;
  double rate(Field numerator, Field denominator) const;
  Interval bootstrap(Field numerator, Field denominator) const;

  std::vector<Tally> tallies_;
  std::vector<std::string> writers_;  // one a sample
};

}  // namespace scrawl
