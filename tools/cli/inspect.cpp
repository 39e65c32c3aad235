#include <fmt/core.h>

#include <filesystem>
#include <system_error>

#include "models/data/inspect.h"
#include "models/model.h"
#include "models/summary.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {
namespace fs = std::filesystem;

struct InspectFlags {
  std::string what;
  int batch = 64, classes = 0;
  bool json = false, inference = false, calls = false, memory = false;
  DeviceFlags device;
  RecipeFlags over;
};

void show_network(const InspectFlags& f, const Recipe& recipe, int classes, nlohmann::json about) {
  const auto device = open_for_planning(f.device.options());
  auto summary = summarize(recipe, classes, *device, f.batch, !f.inference);
  if (f.json) {
    summary["model"] = std::move(about);
    fmt::print("{}\n", summary.dump(2));
    return;
  }
  fmt::print("{}, {} classes, batch {}, {}\n", recipe.name, classes, f.batch,
             f.inference ? "inference" : "training");
  fmt::print("{}", to_text(summary, Detail::nodes));
  if (f.calls) fmt::print("\n{}", to_text(summary, Detail::calls));
  if (f.memory) fmt::print("\n{}", to_text(summary, Detail::memory));
}

void show_model(const InspectFlags& f, const fs::path& path) {
  const auto file = read_safetensors(path);
  if (file.metadata.is_null())
    throw DataError("{}: is no scrawl model: it has weights, but no description of the network",
                    path.string());
  const auto description = description_from_json(file.metadata, path.string());
  auto tensors = nlohmann::json::array();
  for (const auto& t : file.tensors)
    tensors.push_back({{"name", t.name}, {"type", name_of(t.type)}, {"shape", to_string(t.shape)}});
  if (!f.json) {
    fmt::print("{}: alphabet of {}: {}\n", path.string(), description.alphabet.symbols().size(),
               fmt::join(description.alphabet.symbols(), ""));
    fmt::print("metrics when saved: {}\n", description.metrics.dump());
    for (const auto& t : tensors)
      fmt::print("  {:<32} {} {}\n", t["name"].get<std::string>(), t["type"].get<std::string>(),
                 t["shape"].get<std::string>());
  }
  show_network(f, description.recipe, description.alphabet.classes(),
               {{"file", path.string()},
                {"metrics", description.metrics},
                {"tensors", tensors},
                {"alphabet", description.alphabet.symbols()}});
}

bool is_there(const fs::path& path) {
  std::error_code nowhere;
  return fs::exists(path, nowhere);
}

bool is_run_directory(const fs::path& path) {
  std::error_code nowhere;
  return fs::is_directory(path / "weights", nowhere);
}

/// A model, a checkpoint folder, a recipe or a data set: by what lies there.
int run(const InspectFlags& f) {
  const fs::path path(f.what);
  if (path.extension() == ".safetensors" || is_run_directory(path)) {
    show_model(f, find_model(f.what));
  } else if (is_there(path / "weights.safetensors")) {
    show_model(f, path / "weights.safetensors");
  } else if (is_there(path) && path.extension() != ".toml") {
    const auto found = inspect(open_dataset(path), Look::headers);
    if (f.json)
      fmt::print("{}\n", to_json(found).dump(2));
    else
      fmt::print("{}", to_text(found));
  } else {
    const auto recipe = load_recipe(f.what, f.over.config, f.over.assignments);
    show_network(f, recipe, f.classes ? f.classes : recipe.target == Target::single ? 10 : 80, {});
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto* const command =
      app.add_subcommand("inspect", "show what is in a recipe, model, checkpoint or data set");
  auto f = std::make_shared<InspectFlags>();
  command
      ->add_option("what", f->what,
                   "recipe name or file, run directory, .safetensors file, checkpoint, data set")
      ->required();
  command->add_option("--batch", f->batch, "samples a step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--classes", f->classes, "classes of a recipe's network; 10, or 80 for text, if absent")
      ->check(at_least(1));
  command->add_flag("--inference", f->inference, "the network as it reads, not as it trains");
  command->add_flag("--calls", f->calls,
                    "every kernel call with its variant and the refusals of faster ones");
  command->add_flag("--memory", f->memory, "where every tensor lies in the arena, and when");
  command->add_flag("--json", f->json, "print everything as JSON");
  f->device.add_to(*command);
  f->device.add_choices_to(*command);
  f->over.add_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
