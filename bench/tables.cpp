#include "bench/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace scrawl::bench {
namespace {

/// Without an exponent, to so many digits that say something.
std::string number(double value, int significant) {
  const int before = value > 0 ? static_cast<int>(std::floor(std::log10(value))) + 1 : 1;
  return fmt::format("{:.{}f}", value, std::max(significant - before, 0));
}

std::string result_of(const Row& row) {
  if (!row.wrong.empty()) return "wrong: " + row.wrong;
  if (!row.refused.empty()) return "refused: " + row.refused;
  return !row.passed ? "" : *row.passed ? "passed" : "failed";
}

struct Column {
  const char* name;   ///< in CSV
  const char* title;  ///< in Markdown
  std::string (*cell)(const Row&, int significant);
};

std::string time_of(const Row& row, double Summary::*which, int significant) {
  const auto& us = row.timing.ours;
  return us.samples > 0 ? number(us.*which, significant) : "";
}

std::string rate_of(const Row& row, double work, double unit, int significant) {
  const auto& us = row.timing.ours;
  return us.samples > 0 && work > 0 ? number(work / us.median * unit, significant) : "";
}

std::string ratio_of(const Beside* peer, int significant) {
  return peer ? number(peer->ratio.median, significant) : "";
}

constexpr std::array columns{
    Column{"name", "name", [](const Row& row, int) { return row.name; }},
    Column{"variant", "variant", [](const Row& row, int) { return row.variant; }},
    Column{"type", "type", [](const Row& row, int) { return row.type; }},
    Column{"cache", "cache",
           [](const Row& row, int) { return std::string(row.cache == Cache::cold ? "cold" : "hot"); }},
    Column{"us", "us", [](const Row& row, int digits) { return time_of(row, &Summary::median, digits); }},
    Column{"us_p10", "10%", [](const Row& row, int digits) { return time_of(row, &Summary::p10, digits); }},
    Column{"us_p90", "90%", [](const Row& row, int digits) { return time_of(row, &Summary::p90, digits); }},
    Column{"tflop_per_s", "TFLOP/s",
           [](const Row& row, int digits) { return rate_of(row, row.cost.flops, 1e-6, digits); }},
    Column{"gb_per_s", "GB/s",
           [](const Row& row, int digits) { return rate_of(row, row.cost.bytes, 1e-3, digits); }},
    Column{"percent_of_limit", "% of the limit",
           [](const Row& row, int digits) {
             const double us = row.timing.ours.median;
             return row.ceilings && us > 0 ? number(percent_of_limit(row.cost, *row.ceilings, us), digits)
                                           : "";
           }},
    Column{"x_vendor", "x vendor",
           [](const Row& row, int digits) { return ratio_of(vendor_of(row), digits); }},
    Column{"vendor", "vendor",
           [](const Row& row, int) { return vendor_of(row) ? vendor_of(row)->name : std::string(); }},
    Column{"x_pytorch", "x PyTorch",
           [](const Row& row, int digits) { return ratio_of(torch_of(row), digits); }},
    Column{"result", "result", [](const Row& row, int) { return result_of(row); }}};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  return fmt::format("\"{}\"", replaced(cell, "\"", "\"\""));
}

std::string escaped(const std::string& cell) { return replaced(replaced(cell, "|", "\\|"), "\n", " "); }

bool is_torch(const Beside& peer) { return peer.name.starts_with("pytorch"); }
bool is_vendor(const Beside& peer) { return !is_torch(peer) && peer.name != own_calls; }

const Beside* fastest(const Row& row, bool (*counts)(const Beside&)) {
  const Beside* best = nullptr;
  for (const auto& peer : row.timing.all)
    if (counts(peer) && (!best || peer.us.median < best->us.median)) best = &peer;
  return best;
}

}  // namespace

const Beside* vendor_of(const Row& row) { return fastest(row, is_vendor); }
const Beside* torch_of(const Row& row) { return fastest(row, is_torch); }

std::string_view operation_of(const Row& row) {
  return std::string_view(row.name).substr(0, row.name.find('['));
}

std::string to_csv(std::span<const Row> rows) {
  constexpr int digits = 6;
  std::string text;
  const auto line = [&](const auto& cell_of) {
    for (const auto& column : columns)
      text.append(&column == columns.data() ? "" : ",").append(quoted(cell_of(column)));
    text += "\r\n";
  };
  line([](const Column& column) { return std::string(column.name); });
  for (const Row& row : rows) line([&](const Column& column) { return column.cell(row, digits); });
  return text;
}

std::string to_markdown(std::span<const Row> rows) {
  constexpr int digits = 3;
  std::string text;
  const auto line = [&](const auto& cell_of) {
    text += "|";
    for (const auto& column : columns) text.append(" ").append(cell_of(column)).append(" |");
    text += "\n";
  };
  const auto is_text = [](std::string_view name) {
    return name == "name" || name == "variant" || name == "type" || name == "cache" || name == "vendor" ||
           name == "result";
  };
  line([](const Column& column) { return std::string(column.title); });
  line([&](const Column& column) { return std::string(is_text(column.name) ? "---" : "---:"); });
  for (const Row& row : rows)
    line([&](const Column& column) {
      const auto cell = escaped(column.cell(row, digits));
      return std::string_view(column.name) == "name" ? fmt::format("`{}`", cell) : cell;
    });
  return text;
}

}  // namespace scrawl::bench
