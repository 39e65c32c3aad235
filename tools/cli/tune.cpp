#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/random_batch.h"
#include "bench/recipes.h"
#include "bench/tune/tune.h"
#include "kernels/error.h"
#include "runtime/io/file.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {
using bench::Tuned;
using bench::TunedCall;
using bench::Verdict;

struct TuneFlags {
  std::string recipe, precision, choices = "choices.json";
  int batch = 0, classes = 0;
  std::int64_t longest_label = bench::longest_random_label;
  double seconds = 1, step_seconds = 10;
  bool force = false, json = false;
  DeviceFlags device;
  RecipeFlags over;
};

Recipe recipe_of(const TuneFlags& f) {
  auto assignments = f.over.assignments;
  if (!f.precision.empty()) assignments.push_back(fmt::format("training.precision='''{}'''", f.precision));
  if (f.batch > 0) assignments.push_back(fmt::format("training.batch={}", f.batch));
  return load_recipe(f.recipe, f.over.config, assignments);
}

std::string_view word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster:
      return "faster, beyond the spread of both";
    case Verdict::slower:
      return "slower, beyond the spread of both";
    case Verdict::the_same:
      return "no faster beyond the spread of both";
  }
  return "?";
}

std::string shown(const bench::Summary& us) {
  return fmt::format("{:.1f} us ({:.1f}-{:.1f})", us.median, us.p10, us.p90);
}

/// The fastest that was measured but the first; null: there is none.
const Choice::Time* fastest_other(const TunedCall& call) {
  const Choice::Time* best = nullptr;
  for (const auto& time : call.choice.measured)
    if (time.variant != call.first && (!best || time.us < best->us)) best = &time;
  return best;
}

/// "   812.3 winograd    651.2 onednn    1.25 x  onednn    3  conv2d.forward[...]"
void print(const TunedCall& call) {
  if (call.is_kept) {
    const auto& first = call.time_of(call.first);
    const auto* const other = fastest_other(call);
    fmt::print("{:>12.1f} {:<20}{:>12} {:<20}{:>8}  {:<20}{:>5}  {}\n", first.us, first.variant,
               other ? fmt::format("{:.1f}", other->us) : "", other ? other->variant : "",
               other ? fmt::format("{:.2f} x", first.us / other->us) : "",
               call.choice.variant == call.first ? "the first" : call.choice.variant, call.uses, call.name);
  } else {
    fmt::print("{:>12} {:<87}{:>5}  {}\n", "left out:", call.first, call.uses, call.name);
  }
  if (!call.note.empty()) fmt::print("{:>12} {}\n", "", call.note);
}

void print(const Tuned& tuned) {
  fmt::print("{:>12} {:<20}{:>12} {:<20}{:>8}  {:<20}{:>5}  {}\n", "us", "first of the list", "us",
             "fastest other", "gain", "chosen", "uses", "call");
  for (const auto& call : tuned.calls) print(call);
  for (const auto& whole : tuned.wholes)
    fmt::print("{}: {} with the choices, {} without, {:.2f} x ({:.2f}-{:.2f}): {}\n", whole.work,
               shown(whole.timing.ours), shown(whole.timing.peer_us), whole.timing.ratio.median,
               whole.timing.ratio.p10, whole.timing.ratio.p90, word_of(whole.verdict));
  if (tuned.wholes.empty())
    fmt::print("no variant is faster than the first of its list beyond the spread of both\n");
  else
    fmt::print("predicted of the training step by its calls alone: {:.1f} us less, {:.1f}%\n",
               tuned.predicted_gain_us,
               100 * tuned.predicted_gain_us / tuned.wholes[0].timing.peer_us.median);
}

nlohmann::json json_of(const bench::Summary& us) {
  return {{"us", us.median}, {"p10", us.p10}, {"p90", us.p90}, {"samples", us.samples}};
}

nlohmann::json json_of(const Tuned& tuned, const std::string& written) {
  auto calls = nlohmann::json::array(), wholes = nlohmann::json::array();
  for (const auto& call : tuned.calls) {
    auto measured = nlohmann::json::array();
    for (const auto& time : call.choice.measured)
      measured.push_back({{"variant", time.variant}, {"us", time.us}, {"p10", time.p10}, {"p90", time.p90}});
    calls.push_back({{"name", call.name},
                     {"layer", call.layer},
                     {"call", call.choice.call},
                     {"uses", call.uses},
                     {"first", call.first},
                     {"chosen", call.choice.variant},
                     {"kept", call.is_kept},
                     {"note", call.note},
                     {"measured", measured}});
  }
  for (const auto& whole : tuned.wholes)
    wholes.push_back({{"work", whole.work},
                      {"with", json_of(whole.timing.ours)},
                      {"without", json_of(whole.timing.peer_us)},
                      {"faster", whole.verdict == Verdict::faster},
                      {"slower", whole.verdict == Verdict::slower}});
  return {{"calls", calls},
          {"wholes", wholes},
          {"predicted_gain_us", tuned.predicted_gain_us},
          {"choices", written.empty() ? nlohmann::json() : nlohmann::json(written)}};
}

int run(const TuneFlags& f) {
  const auto recipe = recipe_of(f);
  const auto device = f.device.open();
  const auto tuned = bench::tune(recipe, *device,
                                 {.classes = f.classes ? f.classes : bench::usual_classes(recipe),
                                  .batch = recipe.training.batch,
                                  .longest_label = f.longest_label,
                                  .seconds = f.seconds,
                                  .step_seconds = f.step_seconds},
                                 [](const std::string& line) { fmt::print(stderr, "{}\n", line); });
  const bool is_written = f.force || tuned.is_worth_it();
  if (is_written) write_file_atomically(f.choices, std::string_view(tuned.choices.text()));
  if (f.json)
    fmt::print("{}\n", json_of(tuned, is_written ? f.choices : "").dump(2));
  else
    print(tuned);
  fmt::print(stderr, "{}\n",
             is_written
                 ? fmt::format("{}: give it to train, eval, predict and inspect as --choices", f.choices)
                 : fmt::format("{} is not written: the whole is not faster by the choices; --force "
                               "writes them all the same",
                               f.choices));
  return 0;
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand(
      "tune",
      "measure the kernels that each call of a recipe can take, and write which are faster than the usual");
  auto f = std::make_shared<TuneFlags>();
  command->add_option("recipe", f->recipe, "name of a recipe, or a TOML file")->required();
  command
      ->add_option("--choices", f->choices,
                   "the choice file to write; only if the whole training step or prediction is faster by it")
      ->capture_default_str();
  command->add_flag("--force", f->force, "write it in any case");
  command->add_option("--precision", f->precision, precision_choices);
  command->add_option("--batch", f->batch, "samples a step; the recipe's, if absent")->check(at_least(1));
  command
      ->add_option("--classes", f->classes,
                   "of the data, for a file fits calls of one size only; those of the recipe's usual set, if "
                   "absent")
      ->check(at_least(1));
  command->add_option("--longest-label", f->longest_label, "of the data, in characters, likewise")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--seconds", f->seconds, "of alternation a call")
      ->check(more_than_zero())
      ->capture_default_str();
  command->add_option("--step-seconds", f->step_seconds, "of alternation of the whole, with and without")
      ->check(more_than_zero())
      ->capture_default_str();
  command->add_flag("--json", f->json, "print the result as JSON");
  f->device.add_to(*command);
  f->over.add_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
