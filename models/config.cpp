#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/decode/edit_distance.h"

namespace scrawl {

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string nearest;
  double least = 1.0 / 3 + 1e-9;
  for (const auto& candidate : known) {
    const auto longest = static_cast<double>(std::max(name.size(), candidate.size()));
    const auto share = static_cast<double>(edit_distance(std::span(name), std::span(candidate))) / longest;
    if (share < least) {
      least = share;
      nearest = candidate;
    }
  }
  return nearest;
}

toml::node* Config::find(std::string_view key) {
  known_.emplace_back(key);
  return table_->get(key);
}

std::int64_t Config::integer(std::string_view key, std::int64_t fallback, std::int64_t least,
                             std::int64_t most) {
  auto* const node = find(key);
  if (!node) table_->insert(key, fallback);
  const auto value = node ? node->value_exact<std::int64_t>() : std::optional(fallback);
  if (!value) fail(key, "expected a whole number");
  if (*value < least || *value > most)
    fail(key, most == std::numeric_limits<std::int64_t>::max()
                  ? fmt::format("expected at least {}, got {}", least, *value)
                  : fmt::format("expected {} to {}, got {}", least, most, *value));
  return *value;
}

std::int64_t Config::count(std::string_view key) {
  if (!table_->contains(key)) {
    std::vector<std::string> written;
    for (const auto& [name, value] : *table_) written.emplace_back(name.str());
    const auto near = nearest_name(key, written);
    fail(key, near.empty() ? "expected a whole number of at least 1, got none"
                           : fmt::format("expected a whole number of at least 1, got none but {}", near));
  }
  return integer(key, 1, 1);
}

double Config::number(std::string_view key, double fallback, double least, double most) {
  auto* const node = find(key);
  if (!node) table_->insert(key, fallback);
  const auto value = node && node->is_number() ? node->value<double>()
                     : node                    ? std::nullopt
                                               : std::optional(fallback);
  if (!value) fail(key, "expected a number");
  if (!(*value >= least && *value <= most))
    fail(key, std::isinf(most) ? fmt::format("expected at least {}, got {}", least, *value)
                               : fmt::format("expected {} to {}, got {}", least, most, *value));
  return *value;
}

std::string Config::text(std::string_view key, std::string_view fallback) {
  auto* const node = find(key);
  if (!node) table_->insert(key, std::string(fallback));
  const auto value = node ? node->value_exact<std::string>() : std::optional(std::string(fallback));
  if (!value) fail(key, "expected text in quotes");
  return *value;
}

bool Config::flag(std::string_view key, bool fallback) {
  auto* const node = find(key);
  if (!node) table_->insert(key, fallback);
  const auto value = node ? node->value_exact<bool>() : std::optional(fallback);
  if (!value) fail(key, "expected true or false");
  return *value;
}

std::pair<std::int64_t, std::int64_t> Config::pair(std::string_view key,
                                                   std::pair<std::int64_t, std::int64_t> fallback,
                                                   std::int64_t least) {
  auto* const node = find(key);
  if (!node) {
    table_->insert(key, toml::array{fallback.first, fallback.second});
    return fallback;
  }
  std::pair<std::int64_t, std::int64_t> value;
  if (const auto one = node->value_exact<std::int64_t>()) {
    value = {*one, *one};
  } else {
    const auto* const array = node->as_array();
    const auto element = [&](std::size_t i) {
      return array && array->size() == 2 ? array->get(i)->value_exact<std::int64_t>() : std::nullopt;
    };
    if (!element(0) || !element(1)) fail(key, "expected a whole number, or [height, width]");
    value = {*element(0), *element(1)};
  }
  if (std::min(value.first, value.second) < least)
    fail(key, fmt::format("expected at least {}, got {}", least, std::min(value.first, value.second)));
  return value;
}

Config Config::table(std::string_view key) {
  auto* const node = find(key);
  if (node && !node->is_table()) fail(key, "expected a table");
  if (!node) table_->insert(key, toml::table{});
  return Config(*table_->get(key)->as_table(),
                where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key));
}

std::vector<Config> Config::tables(std::string_view key) {
  auto* const node = find(key);
  std::vector<Config> tables;
  if (!node) return tables;
  auto* const array = node->as_array();
  if (!array) fail(key, "expected an array of tables");
  for (std::size_t i = 0; i < array->size(); ++i) {
    auto* const element = array->get(i)->as_table();
    if (!element) fail(key, fmt::format("element {}: expected a table", i + 1));
    tables.emplace_back(*element, fmt::format("{}{}{}[{}]", where_, where_.empty() ? "" : ".", key, i + 1));
  }
  return tables;
}

void Config::done() const {
  for (const auto& [key, value] : *table_) {
    const std::string name(key.str());
    if (std::ranges::find(known_, name) != known_.end()) continue;
    const auto near = nearest_name(name, known_);
    fail(name, near.empty() ? fmt::format("unknown key; known are: {}", fmt::join(known_, ", "))
                            : fmt::format("unknown key; did you mean {}?", near));
  }
}

namespace {

constexpr std::string_view command_line = "--set";

std::string file_and_line(const toml::source_region& source) {
  if (!source.begin.line) return "";
  if (source.path && *source.path == command_line) return fmt::format("{}: ", command_line);
  return fmt::format("{}{}: ", source.path ? *source.path + ":" : "", source.begin.line);
}

}  // namespace

std::string Config::place() const { return file_and_line(table_->source()) + where_; }

void Config::fail(std::string_view key, const std::string& message) const {
  const auto* const node = table_->get(key);
  const auto& source = node && node->source().begin.line ? node->source() : table_->source();
  throw UsageError("{}{}{}{}: {}", file_and_line(source), where_, where_.empty() ? "" : ".", key, message);
}

void Config::fail_choice(std::string_view key, const std::string& got,
                         const std::vector<std::string>& all) const {
  const auto near = nearest_name(got, all);
  fail(key, fmt::format("expected one of {}; got {}{}", fmt::join(all, ", "), got,
                        near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

toml::table read_toml(const std::string& path) {
  try {
    return toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    if (!line) throw DataError("{}: {}", path, error.description());
    throw UsageError("{}:{}: {}", path, line, error.description());
  }
}

void merge(toml::table& base, const toml::table& over) {
  for (const auto& [key, value] : over) {
    auto* const mine = base.get(key);
    if (mine && mine->is_table() && value.is_table())
      merge(*mine->as_table(), *value.as_table());
    else
      base.insert_or_assign(key, value);
  }
}

namespace {

/// The text as a TOML value, or else as a string.
toml::table parse_value(const std::string& text) {
  try {
    return toml::parse("value = " + text, command_line);
  } catch (const toml::parse_error&) {
  }
  try {
    return toml::parse("value = " + nlohmann::json(text).dump(), command_line);
  } catch (const std::exception&) {
    throw UsageError("--set: expected a value in UTF-8 without control characters, got {}", text);
  }
}

}  // namespace

void assign(toml::table& table, const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError("--set {}: expected key=value", assignment);
  const auto path = assignment.substr(0, equals), text = assignment.substr(equals + 1);

  auto* into = &table;
  std::istringstream parts(path);
  std::string key, next;
  std::getline(parts, key, '.');
  while (std::getline(parts, next, '.')) {
    if (!into->contains(key)) into->insert(key, toml::table{});
    auto* const inner = into->get(key)->as_table();
    if (!inner) throw UsageError("--set {}: {} is no table", assignment, key);
    into = inner;
    key = next;
  }
  auto parsed = parse_value(text);
  parsed.get("value")->visit([&](auto& value) { into->insert_or_assign(key, std::move(value)); });
}

std::string to_text(const toml::table& table) {
  std::ostringstream text;
  text << toml::toml_formatter(table) << '\n';
  return text.str();
}

}  // namespace scrawl
