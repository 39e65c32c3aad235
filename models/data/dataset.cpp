#include "models/data/dataset.h"

#include <fmt/ranges.h>

#include <set>
#include <system_error>
#include <unordered_set>

#include "kernels/error.h"
#include "models/data/class_folders.h"
#include "models/data/idx.h"
#include "models/data/table.h"

namespace scrawl {
namespace {

/// Without a column of splits, the split would silently be the one called test.
void refuse_test_split(const std::filesystem::path& path, const DataOptions& options) {
  if (!options.test_split.empty())
    throw DataError("{}: expected a table with a split column for the split '{}'", path.string(),
                    options.test_split);
}

}  // namespace

std::string_view name_of(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::validation:
      return "validation";
    case Split::test:
      return "test";
  }
  return "?";
}

std::optional<Split> find_split(std::string_view name) {
  if (name == "train") return Split::train;
  if (name == "validation" || name == "val" || name == "valid" || name == "dev") return Split::validation;
  if (name == "test") return Split::test;
  return std::nullopt;
}

Split split_named(std::string_view name) {
  if (const auto split = find_split(name)) return *split;
  throw UsageError("split: expected train, validation or test, got '{}'", name);
}

SkipCounts count_by_reason(const std::vector<Skipped>& skipped) {
  SkipCounts counts;
  for (const Skipped& sample : skipped) ++counts[sample.reason];
  return counts;
}

Dataset::Dataset(std::string name, std::string format, std::vector<SampleInfo> samples, ReadImage read_image,
                 std::vector<Skipped> skipped, std::vector<std::string> classes)
    : name_(std::move(name)),
      format_(std::move(format)),
      samples_(std::move(samples)),
      read_image_(std::move(read_image)),
      skipped_(std::move(skipped)),
      classes_(std::move(classes)) {
  std::unordered_set<std::string_view> keys;
  for (const SampleInfo& sample : samples_)
    if (!keys.insert(sample.key).second)
      throw DataError("{}: expected a key for each sample, got '{}' twice", name_, sample.key);
}

std::vector<std::size_t> Dataset::indices(Split split) const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < samples_.size(); ++i)
    if (samples_[i].split == split) found.push_back(i);
  return found;
}

std::vector<std::string> Dataset::labels(Split split) const {
  std::vector<std::string> found;
  for (const SampleInfo& sample : samples_)
    if (sample.split == split) found.push_back(sample.label);
  return found;
}

std::string Dataset::digest() const {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](std::string_view bytes) {
    for (const unsigned char c : bytes) hash = (hash ^ c) * 0x100000001b3u;
    hash = (hash ^ 0xffu) * 0x100000001b3u;  // no UTF-8 text has this byte: "ab" "c" is not "a" "bc"
  };
  for (const auto& sample : samples_)
    for (const std::string_view part :
         {std::string_view(sample.key), std::string_view(sample.label), name_of(sample.split)})
      add(part);
  return fmt::format("{} samples {:016x}", samples_.size(), hash);
}

std::vector<std::string> Dataset::classes() const {
  if (!classes_.empty()) return classes_;
  std::set<std::string> labels;
  for (const SampleInfo& sample : samples_) labels.insert(sample.label);
  return {labels.begin(), labels.end()};
}

Dataset open_dataset(const std::filesystem::path& path, const DataOptions& options) {
  if (addresses_idx(path)) {
    refuse_test_split(path, options);
    return open_idx(path, options);
  }
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    throw DataError("{}: {}", path.string(), error ? error.message() : "no such file, folder or IDX prefix");
  if (is_table(path)) return open_table(path, options);
  if (!std::filesystem::is_directory(path, error))
    throw DataError("{}: expected a folder, a .csv or .tsv table or an IDX images file", path.string());

  const auto tables = tables_in(path);
  if (tables.size() == 1) return open_table(tables.front(), options);
  if (tables.size() > 1) {
    std::vector<std::string> names;
    for (const auto& table : tables) names.push_back(table.filename().string());
    throw DataError("{}: expected one table, got {}: name the one to use", path.string(),
                    fmt::join(names, ", "));
  }
  refuse_test_split(path, options);
  return open_class_folders(path, options);
}

}  // namespace scrawl
