#include "bench/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

namespace scrawl::bench {
namespace {

bool is_wrong(const Row& row) { return row.passed == false || !row.wrong.empty(); }

Change change_of(const Row& before, const Row& after) {
  using enum Change::Kind;
  if (is_wrong(before) != is_wrong(after)) return {is_wrong(after) ? wrong_now : right_now, &before, &after};
  const auto &was = before.timing.ours, &is = after.timing.ours;
  if (was.samples == 0 || is.samples == 0) return {untimed, &before, &after};
  const double times = std::max(was.median, is.median) / std::min(was.median, is.median);
  if (times <= 1 + least_change) return {same, &before, &after, times};
  if (is.p90 < was.p10) return {faster, &before, &after, times};
  if (is.p10 > was.p90) return {slower, &before, &after, times};
  return {same, &before, &after, times};
}

/// A peer greets with its whole header: of that, what does not change from run to run.
std::string version_of(const std::string& library) {
  const auto greeting = nlohmann::json::parse(library, nullptr, /*allow_exceptions=*/false);
  const auto at = nlohmann::json::json_pointer("/header/libraries");
  return greeting.is_object() && greeting.contains(at) ? greeting[at].dump() : library;
}

std::vector<std::string> differences(const Header& before, const Header& after) {
  std::vector<std::string> all;
  const auto compare = [&](const std::string& what, const std::string& was, const std::string& is) {
    const auto shown = [](const std::string& text) { return text.empty() ? "none" : text; };
    if (was != is) all.push_back(fmt::format("{}: {} -> {}", what, shown(was), shown(is)));
  };
  compare("machine", before.machine, after.machine);
  compare("cpu", before.cpu, after.cpu);
  compare("gpu", before.gpu.value_or(""), after.gpu.value_or(""));
  compare("driver", before.driver.value_or(""), after.driver.value_or(""));
  compare("flushed bytes", std::to_string(before.flushed_bytes), std::to_string(after.flushed_bytes));
  auto libraries = before.libraries;
  libraries.insert(after.libraries.begin(), after.libraries.end());
  for (const auto& [name, version] : libraries) {
    const auto of = [&name = name](const Header& header) {
      const auto found = header.libraries.find(name);
      return found == header.libraries.end() ? std::string() : version_of(found->second);
    };
    compare(name, of(before), of(after));
  }
  return all;
}

std::string size_of(const Change& change) {
  using enum Change::Kind;
  switch (change.kind) {
    case faster:
      return fmt::format("{:.2f} x faster", change.times);
    case slower:
      return fmt::format("{:.2f} x slower", change.times);
    case wrong_now:
      return "wrong now";
    case right_now:
      return "right now";
    case same:
    case untimed:
      break;
  }
  return "";
}

std::string time_of(const Row& row) {
  const auto& us = row.timing.ours;
  return us.samples > 0 ? fmt::format("{:.2f} [{:.2f}, {:.2f}]", us.median, us.p10, us.p90) : "-";
}

}  // namespace

std::size_t Changes::count(Change::Kind kind) const {
  return static_cast<std::size_t>(std::ranges::count(rows, kind, &Change::kind));
}

bool Changes::has_regressed() const {
  return count(Change::Kind::slower) > 0 || count(Change::Kind::wrong_now) > 0;
}

Changes changes_between(const Report& before, const Report& after) {
  const auto key = [](const Row& row) {
    return std::tuple(row.name, row.variant, row.type, row.cache, row.device);
  };
  std::map<decltype(key(Row())), std::deque<const Row*>> waiting;
  for (const Row& row : before.rows) waiting[key(row)].push_back(&row);
  Changes changes{.circumstances = differences(before.header, after.header), .rows = {}};
  for (const Row& row : after.rows) {
    auto& same = waiting[key(row)];
    if (same.empty()) {
      ++changes.only_after;
      continue;
    }
    changes.rows.push_back(change_of(*same.front(), row));
    same.pop_front();
  }
  changes.only_before = before.rows.size() - changes.rows.size();
  std::ranges::stable_sort(changes.rows, std::greater(), [](const Change& change) {
    return std::pair(change.kind == Change::Kind::wrong_now, change.times);
  });
  return changes;
}

std::string to_text(const Changes& changes) {
  using enum Change::Kind;
  std::string text;
  for (const auto& circumstance : changes.circumstances) text += "differs: " + circumstance + "\n";
  text += fmt::format("A change: 10th to 90th percentiles apart, and medians by more than {:.0f}%.\n\n",
                      100 * least_change);
  std::string lines;
  for (const auto& change : changes.rows) {
    if (size_of(change).empty()) continue;
    const auto& row = *change.after;
    lines += fmt::format("{:>14} {:>38} {:>38}  {} by {}, {}{}\n", size_of(change), time_of(*change.before),
                         time_of(row), row.name, row.variant, row.cache == Cache::cold ? "cold" : "hot",
                         row.wrong.empty() ? "" : ": " + row.wrong);
  }
  if (!lines.empty())
    text += fmt::format("{:>14} {:>38} {:>38}  {}\n{}\n", "change", "old us [p10, p90]", "new us [p10, p90]",
                        "name by variant, cache", lines);
  text += fmt::format("{} faster, {} slower, {} same", changes.count(faster), changes.count(slower),
                      changes.count(same));
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0) text += fmt::format(", {} {}", count, what);
  };
  add(changes.count(wrong_now), "wrong now");
  add(changes.count(right_now), "right now");
  add(changes.count(untimed), "without times");
  return text +
         fmt::format(", {} only in the old, {} only in the new\n", changes.only_before, changes.only_after);
}

}  // namespace scrawl::bench
