#pragma once
/// One table of a TOML file, read strictly: every value is checked, every key must be known, and an error
/// names file, line and the nearest key. Defaults are written back, so that the table ends up as the
/// effective one.

#include <toml++/toml.h>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace scrawl {

/// Edits to turn one into the other are at most a third of the longer: the name that was probably meant, or
/// "".
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

class Config {
 public:
  /// `where` is the table's path in the file, for messages ("training", "network.layers[3]").
  Config(toml::table& table, std::string where) : table_(&table), where_(std::move(where)) {}

  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t least,
                       std::int64_t most = std::numeric_limits<std::int64_t>::max());
  /// A whole number of at least 1 that has no default.
  std::int64_t count(std::string_view key);
  double number(std::string_view key, double fallback, double least,
                double most = std::numeric_limits<double>::infinity());
  std::string text(std::string_view key, std::string_view fallback);
  bool flag(std::string_view key, bool fallback);

  /// One integer, or two as [height, width].
  std::pair<std::int64_t, std::int64_t> pair(std::string_view key,
                                             std::pair<std::int64_t, std::int64_t> fallback,
                                             std::int64_t least);

  /// One of a few names.
  template <class Enum>
  Enum choice(std::string_view key, Enum fallback, const std::vector<std::pair<std::string, Enum>>& names) {
    std::string fallback_name;
    std::vector<std::string> all;
    for (const auto& [name, value] : names) {
      all.push_back(name);
      if (value == fallback) fallback_name = name;
    }
    const auto got = text(key, fallback_name);
    for (const auto& [name, value] : names)
      if (name == got) return value;
    fail_choice(key, got, all);
  }

  /// A table within; made if absent. Keys of it are checked by its own done().
  Config table(std::string_view key);
  /// An array of tables; empty if absent.
  std::vector<Config> tables(std::string_view key);

  /// Throws UsageError for the first key that nothing asked for.
  void done() const;

  /// "FILE:LINE: WHERE", as far as known.
  std::string place() const;

  /// Throws UsageError("FILE:LINE: WHERE.KEY: MESSAGE").
  [[noreturn]] void fail(std::string_view key, const std::string& message) const;

 private:
  toml::node* find(std::string_view key);
  [[noreturn]] void fail_choice(std::string_view key, const std::string& got,
                                const std::vector<std::string>& all) const;

  toml::table* table_;
  std::string where_;
  std::vector<std::string> known_;
};

/// Parses a TOML file. DataError if it cannot be read, UsageError with file, line and cause if it is not
/// TOML.
toml::table read_toml(const std::string& path);

/// Lays `over` onto `base`, table by table.
void merge(toml::table& base, const toml::table& over);

/// Sets a dotted path to a TOML value ("training.epochs=5"; what is no TOML value is taken as text).
/// Throws UsageError for an assignment without '=', or through something that is no table.
void assign(toml::table&, const std::string& assignment);

std::string to_text(const toml::table&);

}  // namespace scrawl
