#include "models/data/inspect.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/error.h"
#include "models/text.h"

namespace scrawl {
namespace {

constexpr std::size_t named_in_text = 20;  // samples left out that to_text lists

Spread spread_of(std::vector<std::int64_t> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  return {values.front(), values[(values.size() - 1) / 2], values.back()};
}

nlohmann::json to_json(const Spread& spread) {
  return {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
}

std::string to_text(const Spread& spread) {
  return fmt::format("{} / {} / {}", spread.min, spread.median, spread.max);
}

/// "a 12  b 7"
std::string to_text(const std::map<std::string, std::int64_t>& counts) {
  std::vector<std::string> items;
  for (const auto& [name, count] : counts)
    items.push_back(fmt::format("{} {}", name == " " ? "space" : name, count));
  return fmt::format("{}", fmt::join(items, "  "));
}

}  // namespace

Inspection inspect(const Dataset& dataset, Look look) {
  Inspection found{.name = dataset.name(), .format = dataset.format(), .skipped = dataset.skipped()};
  found.samples = static_cast<std::int64_t>(dataset.size());
  for (const Split split : all_splits) found.splits[std::string(name_of(split))] = 0;

  std::vector<std::int64_t> widths, heights, lengths;
  std::map<std::string, std::set<std::string>> writers;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const SampleInfo& info = dataset.info(i);
    const std::string split(name_of(info.split));
    ++found.splits[split];
    ++found.classes[info.label];
    if (!info.writer.empty()) writers[split].insert(info.writer);
    const std::u32string text = code_points(info.label);
    for (const char32_t c : text) ++found.characters[to_utf8(std::u32string(1, c))];
    lengths.push_back(static_cast<std::int64_t>(text.size()));
    widths.push_back(info.size.width);
    heights.push_back(info.size.height);
    if (look == Look::headers) continue;
    try {
      dataset.image(i);
    } catch (const DataError& error) {
      found.skipped.push_back({info.key, "unreadable image", error.what()});
    }
  }
  if (found.classes.size() > Inspection::max_classes) found.classes.clear();
  for (const auto& [split, names] : writers) found.writers[split] = static_cast<std::int64_t>(names.size());
  found.width = spread_of(std::move(widths));
  found.height = spread_of(std::move(heights));
  found.label_length = spread_of(std::move(lengths));
  return found;
}

nlohmann::json to_json(const Inspection& found) {
  nlohmann::json skipped = nlohmann::json::array();
  for (const Skipped& sample : found.skipped)
    skipped.push_back({{"key", sample.key}, {"reason", sample.reason}, {"detail", sample.detail}});
  return {{"name", found.name},
          {"format", found.format},
          {"samples", found.samples},
          {"splits", found.splits},
          {"classes", found.classes},
          {"characters", found.characters},
          {"writers", found.writers},
          {"width", to_json(found.width)},
          {"height", to_json(found.height)},
          {"label_length", to_json(found.label_length)},
          {"skipped", count_by_reason(found.skipped)},
          {"skipped_samples", skipped}};
}

std::string to_text(const Inspection& found) {
  std::string text;
  const auto line = [&text](std::string_view name, const std::string& value) {
    if (!value.empty()) fmt::format_to(std::back_inserter(text), "{:<14}{}\n", name, value);
  };
  line("data set", fmt::format("{} ({})", found.name, found.format));
  line("samples", fmt::format("{}: {}", found.samples, to_text(found.splits)));
  line("writers", to_text(found.writers));
  line("width", to_text(found.width) + " pixels (least / median / greatest)");
  line("height", to_text(found.height) + " pixels");
  line("label length", to_text(found.label_length) + " characters");
  line(fmt::format("{} classes", found.classes.size()), to_text(found.classes));
  if (found.classes.empty())
    line(fmt::format("{} chars", found.characters.size()), to_text(found.characters));
  line("left out", found.skipped.empty() ? "none" : to_text(count_by_reason(found.skipped)));
  for (std::size_t i = 0; i < std::min(named_in_text, found.skipped.size()); ++i) {
    const Skipped& sample = found.skipped[i];
    line("", fmt::format("{}: {}{}{}", sample.key, sample.reason, sample.detail.empty() ? "" : ": ",
                         sample.detail));
  }
  if (found.skipped.size() > named_in_text)
    line("", fmt::format("and {} more", found.skipped.size() - named_in_text));
  return text;
}

}  // namespace scrawl
