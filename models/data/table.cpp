#include "models/data/table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <ranges>
#include <system_error>

#include "kernels/error.h"
#include "models/data/image_files.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Reads rows from the front of a text.
class TableParser {
 public:
  TableParser(std::string_view text, Delimiter delimiter, std::string_view name)
      : text_(text), delimiter_(static_cast<char>(delimiter)), name_(name) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }

  std::vector<TableRow> rows() {
    std::vector<TableRow> rows;
    while (!text_.empty()) {
      TableRow row{.line = line_};
      do row.fields.push_back(field());
      while (take(delimiter_));
      take('\r');
      if (take('\n')) ++line_;
      if (row.fields.size() > 1 || !row.fields[0].empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool at_field_end() const {
    return text_.empty() || text_[0] == delimiter_ || text_[0] == '\n' || text_.starts_with("\r\n");
  }

  std::string field() {
    if (delimiter_ == ',' && take('"')) return quoted();
    std::string value;
    while (!at_field_end()) {
      value += text_[0];
      text_.remove_prefix(1);
    }
    return value;
  }

  std::string quoted() {
    const int start = line_;
    std::string value;
    while (true) {
      if (text_.empty()) throw DataError("{}: line {}: a quote is never closed", name_, start);
      if (take('"')) {
        if (!take('"')) break;
        value += '"';
        continue;
      }
      line_ += text_[0] == '\n';
      value += text_[0];
      text_.remove_prefix(1);
    }
    if (!at_field_end()) throw DataError("{}: line {}: text follows a closing quote", name_, line_);
    return value;
  }

  std::string_view text_;
  char delimiter_;
  std::string_view name_;
  int line_ = 1;
};

using KnownNames = std::vector<std::string>;

/// The columns of a table, by name.
struct Header {
  std::string table;
  std::vector<std::string> names;  // lower case

  DataError missing(const KnownNames& wanted) const {
    return DataError("{}: expected a column {}, got the columns {}", table, fmt::join(wanted, " or "),
                     fmt::join(names, ", "));
  }

  /// The column that the user named, which must be there, or else the first known name that is.
  std::optional<std::size_t> find(const std::string& chosen, const KnownNames& known) const {
    const KnownNames wanted = chosen.empty() ? known : KnownNames{lower(chosen)};
    for (const std::string& name : wanted)
      if (const auto found = std::ranges::find(names, name); found != names.end())
        return static_cast<std::size_t>(found - names.begin());
    if (!chosen.empty()) throw missing(wanted);
    return std::nullopt;
  }

  std::size_t require(const std::string& chosen, const KnownNames& known) const {
    if (const auto found = find(chosen, known)) return *found;
    throw missing(known);
  }
};

Delimiter delimiter_of(const fs::path& path) {
  return lower(path.extension().string()) == ".tsv" ? Delimiter::tab : Delimiter::comma;
}

/// The split that a name stands for; none for one that this use of the set leaves out.
std::optional<Split> split_of(const std::string& name, const DataOptions& options) {
  if (options.test_split.empty()) return find_split(name);
  if (name == lower(options.test_split)) return Split::test;
  const auto named = find_split(name);
  return named == Split::test ? std::nullopt : named;
}

}  // namespace

std::vector<TableRow> parse_table(std::string_view text, Delimiter delimiter, std::string_view name) {
  return TableParser(text, delimiter, name).rows();
}

bool is_table(const fs::path& path) {
  const std::string extension = lower(path.extension().string());
  std::error_code nowhere;  // what leads nowhere is no table
  return (extension == ".csv" || extension == ".tsv") && fs::is_regular_file(path, nowhere);
}

std::vector<fs::path> tables_in(const fs::path& folder) {
  std::vector<fs::path> tables;
  std::ranges::copy_if(list_folder(folder), std::back_inserter(tables), is_table);
  return tables;
}

Dataset open_table(const fs::path& path, const DataOptions& options) {
  const auto bytes = read_file(path);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto rows = parse_table(text, delimiter_of(path), path.string());
  if (rows.empty())
    throw DataError("{}: expected a row that names the columns, got an empty table", path.string());

  Header header{path.string(), {}};
  for (const std::string& name : rows[0].fields) header.names.push_back(lower(name));
  const auto image = header.require(options.image_column, {"image", "file", "filename"});
  const auto label = header.require(options.label_column, {"label", "text", "identity"});
  const auto split = options.test_split.empty()
                         ? header.find(options.split_column, {"split"})
                         : std::optional(header.require(options.split_column, {"split"}));
  const auto writer = header.find(options.writer_column, {"writer"});

  const fs::path folder = options.image_folder.empty() ? path.parent_path() : options.image_folder;
  auto own = split ? OwnSplits::without_validation : OwnSplits::none;
  ImageFiles images(options);
  for (const TableRow& row : rows | std::views::drop(1)) {
    if (row.fields.size() != rows[0].fields.size()) {
      images.skip(fmt::format("{} line {}", path.filename().string(), row.line), "wrong number of fields",
                  fmt::format("expected {}, got {}", rows[0].fields.size(), row.fields.size()));
      continue;
    }
    SampleInfo sample{.key = row.fields[image], .label = row.fields[label]};
    if (writer) sample.writer = row.fields[*writer];
    if (split) {
      const auto named = split_of(lower(row.fields[*split]), options);
      if (!named) {
        images.leave_alone(sample.key, row.fields[*split]);
        continue;
      }
      if (*named == Split::validation) own = OwnSplits::with_validation;
      sample.split = *named;
    }
    fs::path file = folder / sample.key;
    images.add(std::move(sample), std::move(file));
  }
  return std::move(images).finish(path.string(), "table", own);
}

}  // namespace scrawl
