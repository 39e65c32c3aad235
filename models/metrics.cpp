#include "models/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "kernels/random.h"
#include "models/decode/edit_distance.h"
#include "models/text.h"

namespace scrawl {
namespace {

constexpr double z95 = 1.959963984540054;  // 97.5% quantile of the normal distribution
constexpr int resamples = 1000;
constexpr std::array<std::uint32_t, 2> bootstrap_key{0x5eedu, 0xb007u};

double ratio(std::int64_t numerator, std::int64_t denominator) {
  return denominator == 0 ? 0.0 : static_cast<double>(numerator) / static_cast<double>(denominator);
}

nlohmann::json to_json(Interval interval) { return {interval.low, interval.high}; }

}  // namespace

Interval wilson(std::int64_t successes, std::int64_t trials) {
  if (trials == 0) return {0.0, 1.0};
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double scale = 1.0 / (1.0 + z95 * z95 / n);
  const double centre = scale * (p + z95 * z95 / (2 * n));
  const double half = scale * z95 * std::sqrt(p * (1 - p) / n + z95 * z95 / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

ClassifierMetrics::ClassifierMetrics(int classes) : classes_(classes) {
  if (classes < 1) throw ShapeError("metrics: expected at least 1 class, got {}", classes);
  counts_.resize(static_cast<std::size_t>(classes_ * classes_));
}

void ClassifierMetrics::add(int truth, int predicted) {
  for (const int c : {truth, predicted})
    if (c < 0 || c >= classes_) throw DataError("metrics: expected a class below {}, got {}", classes_, c);
  ++counts_[static_cast<std::size_t>(truth * classes_ + predicted)];
  ++samples_;
  correct_ += truth == predicted;
}

std::int64_t ClassifierMetrics::count(int truth, int predicted) const {
  return counts_.at(static_cast<std::size_t>(truth * classes_ + predicted));
}

double ClassifierMetrics::accuracy() const { return ratio(correct_, samples_); }

ClassifierMetrics::Macro ClassifierMetrics::macro() const {
  Macro sum;
  int present = 0;
  for (int c = 0; c < classes_; ++c) {
    std::int64_t truths = 0, predictions = 0;
    for (int other = 0; other < classes_; ++other) {
      truths += count(c, other);
      predictions += count(other, c);
    }
    if (truths + predictions == 0) continue;
    ++present;
    sum.precision += ratio(count(c, c), predictions);
    sum.recall += ratio(count(c, c), truths);
    sum.f1 += ratio(2 * count(c, c), truths + predictions);
  }
  const double n = std::max(1, present);
  return {sum.precision / n, sum.recall / n, sum.f1 / n};
}

nlohmann::json ClassifierMetrics::to_json() const {
  const Macro mean = macro();
  return {{"samples", samples_},
          {"accuracy", accuracy()},
          {"accuracy_ci95", scrawl::to_json(accuracy_ci95())},
          {"precision_macro", mean.precision},
          {"recall_macro", mean.recall},
          {"f1_macro", mean.f1}};
}

void TextMetrics::add(std::string_view reference, std::string_view hypothesis, std::string_view writer) {
  const std::u32string truth = code_points(reference);
  const std::u32string read = code_points(hypothesis);
  const auto truth_words = words(truth);
  Tally tally{.char_edits = edit_distance(truth, read),
              .chars = static_cast<std::int64_t>(truth.size()),
              .word_edits = edit_distance(truth_words, words(read)),
              .words = static_cast<std::int64_t>(truth_words.size()),
              .exact = truth == read};
  for (std::size_t i = 0; i < std::min(truth.size(), read.size()); ++i) tally.matches += truth[i] == read[i];
  tallies_.push_back(tally);
  writers_.emplace_back(writer);
}

double TextMetrics::rate(Field numerator, Field denominator) const {
  std::int64_t above = 0, below = 0;
  for (const Tally& tally : tallies_) {
    above += tally.*numerator;
    below += tally.*denominator;
  }
  return ratio(above, below);
}

double TextMetrics::cer() const { return rate(&Tally::char_edits, &Tally::chars); }
double TextMetrics::wer() const { return rate(&Tally::word_edits, &Tally::words); }
double TextMetrics::char_accuracy() const { return rate(&Tally::matches, &Tally::chars); }

double TextMetrics::exact() const {
  std::int64_t exact = 0;
  for (const Tally& tally : tallies_) exact += tally.exact;
  return ratio(exact, samples());
}

Interval TextMetrics::bootstrap(Field numerator, Field denominator) const {
  struct Unit {
    std::int64_t above = 0, below = 0;
  };
  const bool by_writer = std::ranges::none_of(writers_, &std::string::empty);
  std::map<std::string, Unit> by_key;
  for (std::size_t i = 0; i < tallies_.size(); ++i) {
    Unit& unit = by_key[by_writer ? writers_[i] : std::to_string(i)];
    unit.above += tallies_[i].*numerator;
    unit.below += tallies_[i].*denominator;
  }
  if (by_key.empty()) return {};
  std::vector<Unit> units;
  for (const auto& [key, unit] : by_key) units.push_back(unit);

  std::vector<double> rates;
  for (std::uint32_t resample = 0; resample < resamples; ++resample) {
    Unit sum;
    for (std::uint32_t draw = 0; draw < units.size(); ++draw) {
      const std::uint32_t bits = philox({draw, resample, 0, 0}, bootstrap_key)[0];
      const Unit& unit = units[(std::uint64_t{bits} * units.size()) >> 32];
      sum.above += unit.above;
      sum.below += unit.below;
    }
    rates.push_back(ratio(sum.above, sum.below));
  }
  std::ranges::sort(rates);
  return {rates[static_cast<std::size_t>(0.025 * (resamples - 1))],
          rates[static_cast<std::size_t>(std::ceil(0.975 * (resamples - 1)))]};
}

Interval TextMetrics::cer_ci95() const { return bootstrap(&Tally::char_edits, &Tally::chars); }
Interval TextMetrics::wer_ci95() const { return bootstrap(&Tally::word_edits, &Tally::words); }

nlohmann::json TextMetrics::to_json() const {
  return {{"samples", samples()},
          {"cer", cer()},
          {"cer_ci95", scrawl::to_json(cer_ci95())},
          {"wer", wer()},
          {"wer_ci95", scrawl::to_json(wer_ci95())},
          {"exact", exact()},
          {"char_accuracy", char_accuracy()}};
}

}  // namespace scrawl
