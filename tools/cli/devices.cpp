#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

nlohmann::json to_json(const DeviceSummary& d) {
  auto gpus = nlohmann::json::array();
  for (const auto& gpu : d.gpus)
    gpus.push_back({{"name", gpu.name},
                    {"compute_capability", gpu.compute_capability},
                    {"memory_bytes", gpu.memory_bytes},
                    {"multiprocessors", gpu.multiprocessors}});
  return {{"name", d.name},
          {"hardware", d.hardware},
          {"libraries", d.libraries},
          {"unusable", d.unusable},
          {"gpus", gpus}};
}

nlohmann::json to_json(const LibrarySummary& l) {
  return {{"name", l.name},
          {"used_for", l.used_for},
          {"version", l.version},
          {"path", l.path},
          {"unusable", l.unusable}};
}

/// Of several GPUs the first is used, and described in the line above.
void print(const DeviceSummary& d) {
  if (d.unusable.empty())
    fmt::print("{:6} {}; {}\n", d.name, d.hardware, d.libraries);
  else
    fmt::print("{:6} not usable: {}\n", d.name, d.unusable);
  for (std::size_t i = 1; i < d.gpus.size(); ++i) {
    const auto& gpu = d.gpus[i];
    fmt::print("       GPU {}, not used: {}, compute capability {}, {} multiprocessors, {:.1f} GiB\n", i,
               gpu.name, gpu.compute_capability, gpu.multiprocessors,
               static_cast<double>(gpu.memory_bytes) / (1 << 30));
  }
}

/// --json has all of it: each place that was tried.
std::string first_line_of(const std::string& text) { return text.substr(0, text.find('\n')); }

void print(const LibrarySummary& l) {
  if (!l.unusable.empty())
    fmt::print("{:8} not used, for {}: {}\n", l.name, l.used_for, first_line_of(l.unusable));
  else
    fmt::print("{:8} {}{}, for {}\n", l.name, l.version, l.path.empty() ? "" : " from " + l.path, l.used_for);
}

int run(bool as_json) {
  const auto devices = list_devices();
  const auto libraries = list_libraries();
  if (as_json) {
    nlohmann::json json{{"devices", nlohmann::json::array()}, {"libraries", nlohmann::json::array()}};
    for (const auto& d : devices) json["devices"].push_back(to_json(d));
    for (const auto& l : libraries) json["libraries"].push_back(to_json(l));
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  for (const auto& d : devices) print(d);
  fmt::print("\n");
  for (const auto& l : libraries) print(l);
  return 0;
}

}  // namespace

void add_devices(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("devices", "list the hardware and libraries that are seen");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print them as JSON");
  command->callback([json, &action] { action = [json] { return run(*json); }; });
}

}  // namespace scrawl::cli
