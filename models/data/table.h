#pragma once
/// Tables of image files and labels: CSV (RFC 4180) and TSV (IANA text/tab-separated-values).

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "models/data/dataset.h"

namespace scrawl {

/// A row and the line of the file on which it starts, counted from 1.
struct TableRow {
  int line = 0;
  std::vector<std::string> fields;
};

/// CSV fields may be quoted ("" within quotes is one quote; quotes may hold line breaks). In TSV a quote is a
/// character like any other, for text lines start with one. Empty lines are left out, a BOM too.
enum class Delimiter : char { comma = ',', tab = '\t' };

/// Throws DataError, with `name` and line, for a quote that is never closed or is followed by text.
std::vector<TableRow> parse_table(std::string_view text, Delimiter, std::string_view name);

bool is_table(const std::filesystem::path&);  ///< a file named .csv or .tsv
std::vector<std::filesystem::path> tables_in(const std::filesystem::path& folder);  ///< sorted; or DataError

/// Opens a table whose first row names the columns. Known names, case ignored: image, file, filename; label,
/// text, identity; split; writer. Keys are the image paths as written. Rows with another number of fields or
/// of another split than find_split and DataOptions::test_split know are left out and counted. Throws
/// DataError for a missing column, listing what there is.
Dataset open_table(const std::filesystem::path&, const DataOptions&);

}  // namespace scrawl
