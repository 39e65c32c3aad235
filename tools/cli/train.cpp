#include <fmt/core.h>

#include <filesystem>

#include "models/training.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

struct TrainFlags {
  std::string recipe, data, out, load, alphabet = "fail", precision;
  int epochs = 0, batch = 0;
  std::int64_t seed = -1;
  double minutes = 0;
  bool resume = false, strict = false, json = false;
  DeviceFlags device;
  RecipeFlags over;
};

/// The command line's own options as assignments: they come last, so they win.
std::vector<std::string> assignments(const TrainFlags& f) {
  auto all = f.over.assignments;
  const auto quoted = [](const std::string& s) { return fmt::format("'''{}'''", s); };
  // As it is from everywhere: the run records it.
  if (!f.data.empty())
    all.push_back("data.path=" + quoted(std::filesystem::absolute(f.data).lexically_normal().string()));
  if (!f.precision.empty()) all.push_back("training.precision=" + quoted(f.precision));
  if (f.epochs > 0) all.push_back(fmt::format("training.epochs={}", f.epochs));
  if (f.batch > 0) all.push_back(fmt::format("training.batch={}", f.batch));
  if (f.seed >= 0) all.push_back(fmt::format("training.seed={}", f.seed));
  if (f.minutes > 0) all.push_back(fmt::format("training.minutes={}", f.minutes));
  return all;
}

AlphabetPolicy alphabet_policy(const std::string& name) {
  if (name == "fail") return AlphabetPolicy::fail;
  if (name == "union") return AlphabetPolicy::unite;
  if (name == "replace") return AlphabetPolicy::replace;
  throw UsageError("--alphabet: expected fail, union or replace, got {}", name);
}

int run(const TrainFlags& f) {
  if (f.resume && !f.load.empty())
    throw UsageError("--load: a resumed run has its weights already; leave out --load or --resume");
  TrainingOptions options{.recipe = load_recipe(f.recipe, f.over.config, assignments(f)),
                          .out = f.out,
                          .start = f.resume ? TrainingOptions::Start::resume : TrainingOptions::Start::fresh,
                          .load = f.load,
                          .alphabet = alphabet_policy(f.alphabet),
                          .bad = f.strict ? Bad::fail : Bad::skip};
  if (f.out.empty()) options.out = std::filesystem::path("runs") / options.recipe.name;
  auto device = f.device.open();
  const auto result = train(options, *device);
  if (result.signal) {
    fmt::print(stderr, "stopped after a checkpoint; --resume continues\n");
    return 128 + result.signal;
  }
  if (f.json) {
    const nlohmann::json json{{"out", options.out.string()}, {"weights", result.weights.string()},
                              {"epochs", result.epochs},     {"best_epoch", result.best_epoch},
                              {"seconds", result.seconds},   {"validation", result.best}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{} epochs in {:.0f} s; best epoch {}; weights in {}\n", result.epochs, result.seconds,
               result.best_epoch, result.weights.string());
  }
  return 0;
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("train", "train a network");
  auto f = std::make_shared<TrainFlags>();
  command->add_option("recipe", f->recipe, "name of a recipe, or a TOML file")->required();
  command->add_option("--data", f->data, "data set: folder or file");
  command->add_option("--out", f->out, "run directory; runs/RECIPE if absent");
  command->add_option("--precision", f->precision, precision_choices);
  command->add_option("--epochs", f->epochs, "epochs")->check(at_least(1));
  command
      ->add_option("--minutes", f->minutes, "end after so many minutes instead; not reproducible bit for bit")
      ->check(more_than_zero());
  command->add_option("--batch", f->batch, "samples a step")->check(at_least(1));
  command->add_option("--seed", f->seed, "seed of everything random")->check(at_least(0));
  command->add_flag("--resume", f->resume, "continue the run in --out where its last checkpoint was made");
  command->add_option("--load", f->load, "begin with these weights: a run directory or .safetensors file");
  command->add_option("--alphabet", f->alphabet, "with --load: fail, union or replace")
      ->capture_default_str();
  command->add_flag("--strict", f->strict, "fail on the first sample that cannot be used");
  command->add_flag("--json", f->json, "print the result as JSON");
  f->device.add_to(*command);
  f->device.add_choices_to(*command);
  f->over.add_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
