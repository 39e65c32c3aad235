#include "runtime/io/results_csv.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl {

ResultsCsv::ResultsCsv(std::filesystem::path path, std::vector<std::string> metrics, std::int64_t epochs_done)
    : path_(std::move(path)), metrics_(std::move(metrics)) {
  text_ = fmt::format("epoch,{}\n", fmt::join(metrics_, ","));
  if (epochs_done > 0 && std::filesystem::exists(path_)) keep_rows_up_to(epochs_done);
  save();
}

void ResultsCsv::append(std::int64_t epoch, std::span<const double> values) {
  if (values.size() != metrics_.size())
    throw InternalError("{}: expected {} values, got {}", path_.string(), metrics_.size(), values.size());
  text_ += fmt::format("{}", epoch);
  for (const double value : values) text_ += std::isnan(value) ? "," : fmt::format(",{}", value);
  text_ += '\n';
  save();
}

void ResultsCsv::keep_rows_up_to(std::int64_t epochs_done) {
  const auto bytes = read_file(path_);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!rest.starts_with(text_))
    throw DataError("{}: expected the columns {}, got {}", path_.string(),
                    std::string_view(text_).substr(0, text_.size() - 1), rest.substr(0, rest.find('\n')));
  rest.remove_prefix(text_.size());
  while (!rest.empty()) {
    const auto row = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(row.size() + 1, rest.size()));
    std::int64_t epoch = 0;
    const auto [end, error] = std::from_chars(row.data(), row.data() + row.size(), epoch);
    if (error != std::errc{} || end == row.data() + row.size() || *end != ',')
      throw DataError("{}: expected a row that begins with an epoch, got {}", path_.string(), row);
    if (epoch <= epochs_done) (text_ += row) += '\n';
  }
}

void ResultsCsv::save() const { write_file_atomically(path_, text_); }

}  // namespace scrawl
