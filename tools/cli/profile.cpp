#include <fmt/core.h>

#include <memory>

#include "bench/profile/profile.h"
#include "bench/profile/trace.h"
#include "kernels/error.h"
#include "runtime/io/file.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

struct ProfileFlags {
  std::string recipe, data, precision, json, trace;
  int steps = 10, batch = 0, classes = 0;
  DeviceFlags device;
  RecipeFlags over;
};

/// The command line's own options as assignments: they come last, so they win.
std::vector<std::string> assignments(const ProfileFlags& f) {
  auto all = f.over.assignments;
  if (!f.data.empty()) all.push_back(fmt::format("data.path='''{}'''", f.data));
  if (!f.precision.empty()) all.push_back(fmt::format("training.precision='''{}'''", f.precision));
  if (f.batch > 0) all.push_back(fmt::format("training.batch={}", f.batch));
  return all;
}

/// This machine as it is before the work, and what would be typed to repeat it.
bench::Header header_of(const ProfileFlags& f, const Device& device) {
  std::vector<std::string> words{"scrawl",
                                 "profile",
                                 f.recipe,
                                 fmt::format("--steps {}", f.steps),
                                 "--device " + device.name(),
                                 "--kernels " + f.device.kernels};
  if (f.device.threads > 0) words.push_back(fmt::format("--threads {}", f.device.threads));
  if (f.classes > 0) words.push_back(fmt::format("--classes {}", f.classes));
  if (!f.over.config.empty()) words.push_back("--config " + f.over.config);
  for (const auto& assignment : assignments(f)) words.push_back("--set " + assignment);
  std::vector<const char*> command;
  for (const auto& word : words) command.push_back(word.c_str());
  auto header = bench::describe_host(command);
  if (device.name() == "cuda") bench::describe_gpu(header);
  header.libraries[device.name()] = device.libraries();
  return header;
}

int run(const ProfileFlags& f) {
  const auto recipe = load_recipe(f.recipe, f.over.config, assignments(f));
  if (f.classes > 0 && !recipe.data_path.empty())
    throw UsageError("--classes: {} has its own: leave out --classes or --data", recipe.data_path);
  const auto device = f.device.open();
  if (device->name() == "simt" && !f.trace.empty())
    throw UsageError("--trace: expected a device on which time means something, got simt");
  auto header = header_of(f, *device);
  // As inspect: digits, or the characters of a language.
  const int classes = f.classes ? f.classes : recipe.target == Target::single ? 10 : 80;
  bench::TrainingStep step(recipe, classes, *device);
  const auto profile = bench::profile(step, recipe, *device, f.steps);
  if (!f.json.empty())
    write_file_atomically(f.json, bench::to_json(profile, std::move(header)).dump(1) + "\n");
  if (!f.trace.empty()) write_file_atomically(f.trace, bench::trace_of(profile).dump() + "\n");
  fmt::print("{}", bench::to_table(profile));
  return 0;
}

}  // namespace

void add_profile(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("profile", "show where the time of a training step goes");
  auto f = std::make_shared<ProfileFlags>();
  command->add_option("recipe", f->recipe, "name of a recipe, or a TOML file")->required();
  command->add_option("--steps", f->steps, "to be profiled, behind a warm-up; simt counts one")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--data", f->data, "data set: folder or file; random samples if absent");
  command->add_option("--classes", f->classes, "of random samples; 10, or 80 for text, if absent")
      ->check(at_least(2));
  command->add_option("--precision", f->precision, precision_choices);
  command->add_option("--batch", f->batch, "samples a step")->check(at_least(1));
  command->add_option("--json", f->json, "file for everything that was measured");
  command->add_option("--trace", f->trace, "file for trace viewers: ui.perfetto.dev, chrome://tracing");
  f->device.add_to(*command);
  f->over.add_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
