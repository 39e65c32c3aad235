#pragma once
/// results.csv of a run: a header, then a row an epoch.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace scrawl {

class ResultsCsv {
 public:
  /// Columns are `epoch`, then `metrics`. Keeps the rows of the epochs 1 .. `epochs_done` that `path` already
  /// holds and drops the others, so that a resumed run continues where its checkpoint was made.
  /// Throws DataError when `epochs_done` > 0 and the file has other columns or a row without an epoch,
  /// WriteError when it cannot be written.
  ResultsCsv(std::filesystem::path path, std::vector<std::string> metrics, std::int64_t epochs_done = 0);

  /// Adds the row of one epoch, one value a metric, NaN for one that was not measured; the file is replaced
  /// atomically. Throws WriteError.
  void append(std::int64_t epoch, std::span<const double> values);

 private:
  void keep_rows_up_to(std::int64_t epochs_done);
  void save() const;

  std::filesystem::path path_;
  std::vector<std::string> metrics_;
  std::string text_;
};

}  // namespace scrawl
