#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "bench/profile/profile.h"

namespace scrawl::bench {
namespace {

using Json = nlohmann::ordered_json;
using Count = std::optional<std::uint64_t>;

Json count_json(const Count& count) { return count ? Json(*count) : Json(nullptr); }

Json us_json(const Summary& us) {
  if (us.samples == 0) return nullptr;
  return {{"median", us.median}, {"p10", us.p10}, {"p90", us.p90}, {"mad", us.mad}, {"samples", us.samples}};
}

/// Those of its calls, each once: "im2col, reorder".
std::string variants_of(const ProfiledNode& node) {
  std::vector<std::string> names;
  for (const auto& call : node.calls)
    if (std::ranges::find(names, call.call->call.variant) == names.end())
      names.push_back(call.call->call.variant);
  return fmt::format("{}", fmt::join(names, ", "));
}

Row row_of(const Profile& p, const ProfiledNode& node) {
  Row row;
  row.name = fmt::format("train_step[network={},batch={},{}] {}{}{}", p.recipe, p.batch, name_of(p.precision),
                         range_of(node.phase), node.node.empty() ? "" : "/", node.node);
  row.device = p.device;
  row.variant = variants_of(node);
  row.type = name_of(p.precision);
  row.timing.ours = node.us;
  row.cost = node.cost;
  if (p.has_times()) row.ceilings = Ceilings{p.product.per_second, p.copy.per_second};
  if (node.counts.launches) row.counts["launches"] = *node.counts.launches;
  if (node.counts.lanes) row.counts["lanes"] = *node.counts.lanes;
  return row;
}

Json calls_json(const ProfiledNode& node) {
  Json calls = Json::array();
  for (const auto& call : node.calls)
    calls.push_back({{"name", call.call->name},
                     {"variant", call.call->call.variant},
                     {"us", us_json(call.us)},
                     {"share", call.share},
                     {"launches", count_json(call.counts.launches)},
                     {"lanes", count_json(call.counts.lanes)}});
  return calls;
}

std::string cell(const std::optional<double>& value) { return value ? fmt::format("{:.1f}", *value) : "-"; }
std::string cell(const Count& count) { return count ? fmt::format("{}", *count) : "-"; }

/// Time, or lanes where it means nothing; share; launches.
std::string first_cells(const Profile& p, const auto& of) {
  return fmt::format("{:>12} {:>6.2f}% {:>8}",
                     p.has_times() ? cell(std::optional(of.us.median)) : cell(of.counts.lanes),
                     100 * of.share, cell(of.counts.launches));
}

std::string lines_of(const Profile& p, const ProfiledNode& node) {
  std::optional<double> gflops, gbytes, percent;
  if (p.has_times() && node.us.median > 0) {
    if (node.cost.flops > 0) gflops = node.cost.flops / node.us.median * 1e-3;
    if (node.cost.bytes > 0) gbytes = node.cost.bytes / node.us.median * 1e-3;
    percent = percent_of_limit(node.cost, {p.product.per_second, p.copy.per_second}, node.us.median);
  }
  auto text = fmt::format("{} {:>9} {:>8} {:>7}  {:<9} {:<22} {}\n", first_cells(p, node), cell(gflops),
                          cell(gbytes), cell(percent), range_of(node.phase),
                          node.node.empty() ? "-" : node.node, variants_of(node));
  if (node.calls.size() < 2) return text;
  for (const auto& call : node.calls)
    text += fmt::format("{} {:>26}    {} by {}\n", first_cells(p, call), "", call.call->name,
                        call.call->call.variant);
  return text;
}

std::string step_text(const Profile& p) {
  if (!p.has_times())
    return "one step, counted: launches of kernels and the lanes in them; on simt time means nothing\n";
  auto text = fmt::format("step    {:.1f} us (10%-90% of {}: {:.1f}-{:.1f}); {:.1f} where nobody watches\n",
                          p.step.median, p.step.samples, p.step.p10, p.step.p90, p.unwatched.median);
  text +=
      fmt::format("calls   {:.1f} us, {:.1f}% of the step; the nodes' medians below add up to {:.1f}%\n",
                  p.calls.median, 100 * p.calls.median / p.step.median, 100 * p.nodes_us() / p.step.median);
  std::vector<std::string> gaps;
  for (const auto& [why, us] : p.gaps)
    gaps.push_back(
        fmt::format("{} {:.1f} us ({:.2f}%)", name_of(why), us.median, 100 * us.median / p.step.median));
  text += fmt::format("gaps    {}\n", fmt::join(gaps, ", "));
  return text + fmt::format("limits  {:.1f} GB/s: copy by {}; {:.1f} GFLOP/s: product of {} by {}\n",
                            p.copy.per_second * 1e-9, p.copy.by, p.product.per_second * 1e-9,
                            name_of(p.precision), p.product.by);
}

}  // namespace

Json to_json(const Profile& p, Header header) {
  if (p.has_times()) header.ceilings = {{"copy", p.copy}, {std::string(name_of(p.precision)), p.product}};
  Report report{.header = std::move(header), .rows = {}};
  for (const auto& node : p.nodes) report.rows.push_back(row_of(p, node));
  auto json = Json::parse(to_json(report));
  for (std::size_t i = 0; i < p.nodes.size(); ++i) {
    auto& row = json["rows"][i];
    row["node"] = p.nodes[i].node;
    row["phase"] = range_of(p.nodes[i].phase);
    row["share"] = p.nodes[i].share;
    row["calls"] = calls_json(p.nodes[i]);
  }
  Json gaps = p.has_times() ? Json::object() : Json(nullptr);
  for (const auto& [why, us] : p.gaps) gaps[std::string(name_of(why))] = us_json(us);
  json["profile"] = {{"recipe", p.recipe},
                     {"batch", p.batch},
                     {"classes", p.classes},
                     {"data", p.data},
                     {"steps", p.steps.size()},
                     {"step_us", us_json(p.step)},
                     {"unwatched_step_us", us_json(p.unwatched)},
                     {"calls_us", us_json(p.calls)},
                     {"nodes_us", p.has_times() ? Json(p.nodes_us()) : Json(nullptr)},
                     {"gaps_us", gaps}};
  return json;
}

std::string to_table(const Profile& p) {
  auto text = fmt::format("{}, batch {}, {}, {} classes, on {}; {}\n", p.recipe, p.batch,
                          name_of(p.precision), p.classes, p.device, p.data);
  text += step_text(p);
  text +=
      fmt::format("\n{:>12} {:>7} {:>8} {:>9} {:>8} {:>7}  {:<9} {:<22} {}\n", p.has_times() ? "us" : "lanes",
                  "share", "launches", "GFLOP/s", "GB/s", "% limit", "phase", "node", "variant");
  for (const auto& node : p.nodes) text += lines_of(p, node);
  return text;
}

}  // namespace scrawl::bench
