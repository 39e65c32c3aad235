#include "models/data/synth/font_table.h"

#include <fmt/ranges.h>

#include <toml++/toml.h>
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "kernels/error.h"
#include "models/data/synth/embedded_fonts.h"

namespace scrawl::synth {
namespace {

namespace fs = std::filesystem;

/// Reads one [[font]] of a table.
class EntryReader {
 public:
  EntryReader(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  std::string required(const char* key) const {
    const auto value = table_[key].value<std::string>();
    if (!value || value->empty()) throw DataError("{}: expected a string `{}`, got none", where_, key);
    return *value;
  }

  std::string optional(const char* key) const { return table_[key].value_or(std::string{}); }

  /// The value's place in `names`; 0 where the key is absent.
  std::size_t choice(const char* key, const std::vector<std::string>& names) const {
    const std::string value = table_[key].value_or(names[0]);
    const auto found = std::ranges::find(names, value);
    if (found == names.end())
      throw DataError("{}: {}: expected {}, got `{}`", where_, key, fmt::join(names, " or "), value);
    return static_cast<std::size_t>(found - names.begin());
  }

 private:
  const toml::table& table_;
  std::string where_;
};

}  // namespace

std::vector<FontEntry> parse_font_table(std::string_view toml, std::string_view name) {
  toml::table root;
  try {
    root = toml::parse(toml, name);
  } catch (const toml::parse_error& e) {
    throw DataError("{} line {}: {}", name, e.source().begin.line, e.description());
  }
  const toml::array* fonts = root["font"].as_array();
  if (!fonts || !fonts->is_array_of_tables())
    throw DataError("{}: expected entries [[font]], got none", name);

  std::vector<FontEntry> entries;
  for (const toml::node& node : *fonts) {
    const EntryReader read(*node.as_table(), fmt::format("{} font {}", name, entries.size() + 1));
    entries.push_back({.file = read.required("file"),
                       .package = read.required("package"),
                       .licence = read.required("licence"),
                       .use = static_cast<FontUse>(read.choice("split", {"train", "held_out"})),
                       .hand = static_cast<Hand>(read.choice("hand", {"print", "cursive"})),
                       .unfit = read.optional("unfit")});
  }
  return entries;
}

std::vector<FontEntry> shipped_font_table() { return parse_font_table(embedded_fonts, "fonts.toml"); }

FontSearch find_fonts(const std::vector<FontEntry>& entries, const std::vector<fs::path>& folders) {
  std::map<std::string, std::optional<fs::path>> files;
  for (const FontEntry& entry : entries) files[entry.file] = std::nullopt;

  for (const fs::path& folder : folders) {
    std::map<std::string, fs::path> here;
    std::error_code error;
    fs::recursive_directory_iterator walk(folder, fs::directory_options::skip_permission_denied, error);
    for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
      const std::string name = walk->path().filename().string();
      if (!files.contains(name)) continue;
      const auto [at, added] = here.try_emplace(name, walk->path());
      if (!added) at->second = std::min(at->second, walk->path());
    }
    for (const auto& [name, path] : here)
      if (!files[name]) files[name] = path;
  }

  FontSearch search;
  for (const FontEntry& entry : entries) {
    if (const auto& file = files[entry.file])
      search.found.push_back({entry, *file});
    else
      search.missing.push_back(entry);
  }
  return search;
}

std::string packages_of(const std::vector<FontEntry>& missing) {
  std::set<std::string> packages;
  for (const FontEntry& entry : missing) packages.insert(entry.package);
  return fmt::format("{}", fmt::join(packages, " "));
}

}  // namespace scrawl::synth
