#pragma once
/// Samples that are image files: what tables and class folders have in common.

#include <filesystem>
#include <string>
#include <unordered_set>
#include <vector>

#include "models/data/dataset.h"
#include "models/data/split.h"

namespace scrawl {

/// Gathers samples, leaving out the unusable under DataOptions::bad.
class ImageFiles {
 public:
  explicit ImageFiles(const DataOptions& options) : options_(options) {}

  /// Adds a sample unless its label is empty or not UTF-8, its key known already, or its file missing or
  /// without a readable image header. `sample.size` is filled in here.
  void add(SampleInfo sample, std::filesystem::path file);

  /// Counts a sample as left out. Throws DataError under Bad::fail.
  void skip(std::string key, std::string reason, std::string detail);

  /// Counts a good sample of a split that is not asked for.
  void leave_alone(std::string key, std::string split);

  /// The set gathered. Throws DataError, with the counts of what was left out, when it is empty.
  Dataset finish(std::string name, std::string format, OwnSplits) &&;

 private:
  const DataOptions& options_;
  std::vector<SampleInfo> samples_;
  std::vector<std::filesystem::path> files_;
  std::vector<Skipped> skipped_;
  std::unordered_set<std::string> keys_;
};

}  // namespace scrawl
