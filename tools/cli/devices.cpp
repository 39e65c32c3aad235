#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

int run(bool as_json) {
  auto json = nlohmann::json::array();
  for (const auto& d : list_devices()) {
    json.push_back(
        {{"name", d.name}, {"hardware", d.hardware}, {"libraries", d.libraries}, {"unusable", d.unusable}});
    if (as_json) continue;
    if (d.unusable.empty())
      fmt::print("{:6} {}; {}\n", d.name, d.hardware, d.libraries);
    else
      fmt::print("{:6} not usable: {}\n", d.name, d.unusable);
  }
  if (as_json) fmt::print("{}\n", json.dump(2));
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
