#include "bench/static/view.h"

#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "bench/kernels/check.h"
#include "bench/report.h"
#include "bench/static/prediction.h"
#include "kernels/error.h"
#include "kernels/simt/runtime.h"

namespace scrawl::bench {
namespace {

using nlohmann::ordered_json;

/// Every lane of a launch together is a fibre of its own, and there are too many at larger batches.
Name countable(Name name) {
  constexpr std::int64_t most = 64;
  if (name.operation().starts_with("lstm.")) name.set("N", std::min(name.at("N"), most));
  return name;
}

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

ordered_json to_json(const Predicted& p) {
  return {{"kernel", p.kernel},
          {"blocks", p.blocks},
          {"threads", p.threads},
          {"shared_bytes", p.shared_bytes},
          {"registers", p.registers},
          {"resident_blocks", p.resident},
          {"waves", rounded(p.waves)},
          {"instructions_a_warp", std::round(p.instructions)},
          {"products_a_warp", std::round(p.products)},
          {"global_bytes", std::round(p.bytes)},
          {"serial", {{"barriers", p.barriers}, {"shuffles", p.shuffles}, {"flags", p.flag_waits}}},
          {"us", rounded(p.us)},
          {"by", p.by}};
}

/// Launches of one kernel and as many blocks are one, of their mean time.
ordered_json launches_of(const Prediction& prediction) {
  std::vector<std::pair<Predicted, int>> kinds;
  for (const auto& p : prediction.launches) {
    const auto found = std::ranges::find_if(kinds, [&](const auto& kind) {
      return kind.first.kernel == p.kernel && kind.first.blocks == p.blocks;
    });
    if (found == kinds.end()) {
      kinds.emplace_back(p, 1);
    } else {
      found->first.us += p.us;
      ++found->second;
    }
  }
  auto launches = ordered_json::array();
  for (auto& [p, times] : kinds) {
    p.us /= times;
    launches.push_back(to_json(p));
    if (times > 1) launches.back()["times"] = times;
  }
  return launches;
}

void print(const std::string& name, const std::string& variant, const Prediction& prediction) {
  fmt::print("{:10.2f} us predicted, {:5.1f}% of the limit  {} by {}\n", prediction.us,
             100 * prediction.limit_us / prediction.us, name, variant);
  std::fflush(stdout);
}

Selection native(const Device& device) {
  auto selection = device.selection();
  selection.kernels = KernelSet::native;
  return selection;
}

std::unique_ptr<Device> open_counting(std::uint64_t blocks) {
  // Blocks that do not run leave their outputs undefined, for others to read.
  simt::runtime().control({.schedule = {.accesses_per_turn = 0,
                                        .undefined = simt::Schedule::Undefined::read,
                                        .counted_blocks = blocks},
                           .capacity = std::size_t{16} << 30,
                           .multiprocessors = h200.multiprocessors});
  return open_device({.device = "simt"});
}

std::vector<std::string> variants_of(const Problem& problem) {
  const auto device = open_counting(1);
  return problem.variants(*device, native(*device));
}

std::vector<simt::Counted> count(const Problem& problem, const std::string& variant, std::uint64_t blocks) {
  // Blocks that wait for one another need what all blocks of the launch before have left.
  const bool waits = variant == "resident";
  const auto device = open_counting(waits ? std::numeric_limits<std::uint64_t>::max() : blocks);
  auto selection = native(*device);
  const auto before = *all_before(problem, *device, selection, variant);
  selection.without = before;
  const auto work = problem.place(*device, selection);
  device->synchronize();
  const auto first = simt::runtime().counted().size();
  work->run();
  device->synchronize();
  auto launches = simt::runtime().counted();
  launches.erase(launches.begin(), launches.begin() + static_cast<std::ptrdiff_t>(first));
  return launches;
}

}  // namespace

std::string static_view(const std::vector<Listed>& problems, const Header& header, std::uint64_t blocks) {
  Kernels kernels;
  std::string code = "cuobjdump";
  try {
    kernels = kernels_of(std::filesystem::read_symlink("/proc/self/exe"), h200.architecture);
  } catch (const DeviceError& error) {
    code = error.what();
    fmt::print(stderr, "{}: predictions are by bytes and products alone\n", error.what());
  }
  auto rows = ordered_json::array();
  for (const auto& [asked_for, layer] : problems) {
    const auto name = countable(asked_for);
    const auto problem = problem_of(name);
    for (const auto& variant : variants_of(problem)) {
      const auto launches = count(problem, variant, blocks);
      const auto prediction = predict(h200, launches, kernels, problem.cost, name.type());
      print(problem.name, variant, prediction);
      rows.push_back({{"operation", name.operation()},
                      {"layer", layer},
                      {"type", name.type()},
                      {"variant", variant},
                      {"name", problem.name},
                      {"us", rounded(prediction.us)},
                      {"limit_us", rounded(prediction.limit_us)},
                      {"launches", launches_of(prediction)}});
    }
  }
  const ordered_json about{{"gpu", h200.name + ", not measured"},
                           {"architecture", h200.architecture},
                           {"code", code},
                           {"counted_blocks", blocks},
                           {"commit", header.commit},
                           {"date", header.date},
                           {"command", header.command}};
  std::vector<std::string> lines;
  for (const auto& row : rows) lines.push_back(row.dump());
  return fmt::format("{{\"header\": {},\n \"rows\": [\n{}\n]}}\n", about.dump(), fmt::join(lines, ",\n"));
}

}  // namespace scrawl::bench
