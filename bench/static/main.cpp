/// bench_static: what can be said of our kernels without a GPU. Each variant of each problem of bench_kernels
/// runs on simt, in a few blocks of each launch, which are counted; registers, shared memory and instructions
/// are the compiler's, where this program has kernels for a GPU and cuobjdump is there. From both: occupancy,
/// and the time that it should take at least, beside the limit.
///
///   bench_static --json bench/results/sm_90a-static.json     # about ten minutes: what bench/hardware.py
///   shows bench_static --only 'conv2d.forward[N=256,C=32' --type bf16

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "bench/kernels/check.h"
#include "bench/program.h"
#include "bench/report.h"
#include "bench/static/prediction.h"
#include "kernels/error.h"
#include "kernels/simt/runtime.h"

namespace scrawl::bench {
namespace {

using nlohmann::ordered_json;

struct Flags {
  std::string json;
  Extents extents = Extents::networks;
  std::vector<std::string> only, types{"bf16", "f16", "tf32", "f32"};
  std::int64_t batch = 256;
  std::uint64_t blocks = 4;
};

/// Every lane of a launch together is a fibre of its own, and there are too many at larger batches.
std::int64_t batch_of(const Family& family, std::int64_t asked_for) {
  const auto batch =
      family.operation.starts_with("lstm.") ? std::min<std::int64_t>(asked_for, 64) : asked_for;
  return std::ranges::find(family.batches, batch) == family.batches.end() ? family.batches.front() : batch;
}

double rounded(double value) { return std::round(value * 100) / 100; }

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
          {"global_bytes", p.bytes},
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
  fmt::print("{:10.2f} us at least, {:5.1f}% of the limit  {} by {}\n", prediction.us,
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

int run(int argc, char** argv) {
  CLI::App app{"predicts what our kernels take on an H200, from counts and machine code"};
  Flags f;
  app.add_option("--extents", f.extents, "of the problems")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Extents>{{"networks", Extents::networks}, {"tiny", Extents::tiny}}));
  app.add_option("--only", f.only, "parts of names");
  app.add_option("--type", f.types, "bf16, f16, tf32, f32")->capture_default_str();
  app.add_option("--batch", f.batch, "of problems that have one")->capture_default_str();
  app.add_option("--blocks", f.blocks, "of a launch that are counted")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", f.json, "file for the report");
  CLI11_PARSE(app, argc, argv);

  const auto header = describe_host({argv, static_cast<std::size_t>(argc)});
  Kernels kernels;
  std::string code = "cuobjdump";
  try {
    kernels = kernels_of(std::filesystem::read_symlink("/proc/self/exe"), h200.architecture);
  } catch (const DeviceError& error) {
    code = error.what();
    fmt::print(stderr, "{}\nPredictions are by bytes and products alone.\n", error.what());
  }
  auto rows = ordered_json::array();
  for (const auto& family : families(f.extents))
    for (const auto& type : family.types) {
      if (std::ranges::find(f.types, type) == f.types.end()) continue;
      const auto problem = family.make(batch_of(family, f.batch), numbers_of(type));
      const bool asked_for = f.only.empty() || std::ranges::any_of(f.only, [&](const auto& part) {
                               return problem.name.find(part) != std::string::npos;
                             });
      if (!asked_for) continue;
      for (const auto& variant : variants_of(problem)) {
        const auto launches = count(problem, variant, f.blocks);
        const auto prediction = predict(h200, launches, kernels, problem.cost, type);
        print(problem.name, variant, prediction);
        rows.push_back({{"operation", family.operation},
                        {"layer", family.layer},
                        {"type", type},
                        {"variant", variant},
                        {"name", problem.name},
                        {"us", rounded(prediction.us)},
                        {"limit_us", rounded(prediction.limit_us)},
                        {"launches", launches_of(prediction)}});
      }
    }
  if (rows.empty())
    throw UsageError("--only: expected part of a problem's name (bench_kernels --list has them)");
  if (!f.json.empty()) {
    std::ofstream file(f.json);
    file << ordered_json{{"header",
                          {{"gpu", h200.name + ", not measured"},
                           {"architecture", h200.architecture},
                           {"code", code},
                           {"counted_blocks", f.blocks},
                           {"commit", header.commit},
                           {"date", header.date},
                           {"command", header.command}}},
                         {"rows", rows}}
                .dump(1)
         << '\n';
    if (!file) throw WriteError("{}: cannot be written", f.json);
  }
  return 0;
}

}  // namespace
}  // namespace scrawl::bench

int main(int argc, char** argv) {
  return scrawl::bench::run_program("bench_static", argc, argv, scrawl::bench::run);
}
