#include <fmt/core.h>

#include <cmath>
#include <filesystem>

#include "models/config.h"
#include "models/evaluation.h"
#include "models/predictor.h"
#include "runtime/io/progress.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

struct EvalFlags {
  std::string model, data, split = "test", precision = "f32";
  int batch = 64, workers = 1;
  bool json = false, strict = false;
  DeviceFlags device;
  RecipeFlags over;
};

std::string percent(double value, const nlohmann::json& interval) {
  return fmt::format("{:.2f}% ({:.2f}-{:.2f})", 100 * value, 100 * interval.at(0).get<double>(),
                     100 * interval.at(1).get<double>());
}

void print(const nlohmann::json& e) {
  const auto& loss = e.at("loss");
  fmt::print("{} {}: {} samples, {} skipped, loss {}\n", e.at("dataset").get<std::string>(),
             e.at("split").get<std::string>(), e.at("samples").get<std::int64_t>(),
             e.at("skipped").get<std::int64_t>(),
             std::isfinite(loss.get<double>()) ? fmt::format("{:.4f}", loss.get<double>())
                                               : "unknown (the model spells none of the labels)");
  if (e.contains("cer"))
    fmt::print("CER {}, WER {}, exact {:.2f}%, characters in place {:.2f}%\n",
               percent(e["cer"], e["cer_ci95"]), percent(e["wer"], e["wer_ci95"]),
               100 * e["exact"].get<double>(), 100 * e["char_accuracy"].get<double>());
  else
    fmt::print("accuracy {}, macro precision {:.2f}%, recall {:.2f}%, F1 {:.2f}%\n",
               percent(e["accuracy"], e["accuracy_ci95"]), 100 * e["precision_macro"].get<double>(),
               100 * e["recall_macro"].get<double>(), 100 * e["f1_macro"].get<double>());
  fmt::print("{:.1f} s, {:.0f} images/s; intervals are 95%\n", e.at("seconds").get<double>(),
             e.at("images_per_second").get<double>());
}

/// What --config and --set say. A model is measured as it is: they change how data are read, and nothing
/// else.
toml::table changes(const RecipeFlags& over) {
  toml::table table;
  if (!over.config.empty()) table = read_toml(over.config);
  for (const auto& assignment : over.assignments) assign(table, assignment);
  for (const auto& [key, value] : table) {
    const auto* const inner = key == "data" ? value.as_table() : nullptr;
    if (!inner) throw UsageError("{}: eval takes changes of data only, as data.label_column=NAME", key.str());
    if (inner->contains("labels") || inner->contains("path"))
      throw UsageError("data.labels, data.path: expected another change: {}",
                       inner->contains("path") ? "--data names the set" : "what labels are is the model's");
  }
  return table;
}

/// How the model's recipe reads data, with this command's changes laid over it: columns, orientation, shares.
DataOptions data_options(const ModelDescription& model, const EvalFlags& f) {
  auto toml = toml::parse(model.recipe.effective);
  merge(toml, changes(f.over));
  auto options = parse_recipe(to_text(toml), f.model).data;
  options.bad = f.strict ? Bad::fail : Bad::skip;
  if (!find_split(f.split)) options.test_split = f.split;
  return options;
}

int run(const EvalFlags& f) {
  auto device = f.device.open();
  Predictor predictor(f.model, *device, precision_named(f.precision));
  const auto& model = predictor.description();
  const auto path = f.data.empty() ? model.recipe.data_path : f.data;
  const auto dataset = std::make_shared<const Dataset>(open_dataset(path, data_options(model, f)));
  const auto split = find_split(f.split).value_or(Split::test);
  const auto indices = dataset->indices(split);
  if (indices.empty()) throw DataError("{}: no samples in split {}", path, f.split);

  const auto batches = evaluation_batches(dataset, indices, model.recipe, model.alphabet, f.batch,
                                          f.strict ? Bad::fail : Bad::skip);
  Progress line("eval", batches->samples());
  const auto evaluation =
      evaluate(predictor.recognizer(), batches,
               {.workers = f.workers,
                .progress = [&](std::int64_t done, std::int64_t) { line.update(done, ""); },
                .stop = {}});
  line.finish(batches->samples(), "");
  const auto json = to_json(evaluation, path, f.split);
  if (f.json)
    fmt::print("{}\n", json.dump(2));
  else
    print(json);
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("eval", "measure a model on a data set, with 95% intervals");
  auto f = std::make_shared<EvalFlags>();
  command->add_option("model", f->model, "run directory or .safetensors file")->required();
  command->add_option("--data", f->data, "data set; the one it was trained on if absent");
  command->add_option("--split", f->split, "train, val, test, or another name that the set's table has")
      ->capture_default_str();
  command->add_option("--batch", f->batch, "samples at a time")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--workers", f->workers, "decode threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--precision", f->precision, precision_choices)->capture_default_str();
  command->add_flag("--strict", f->strict, "fail on the first sample that cannot be used");
  command->add_flag("--json", f->json, "print the result as JSON");
  f->device.add_to(*command);
  f->device.add_choices_to(*command);
  f->over.add_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
