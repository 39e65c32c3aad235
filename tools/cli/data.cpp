#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "models/data/inspect.h"
#include "models/data/synth/synth.h"
#include "runtime/io/progress.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

struct InspectFlags {
  std::string path, image_column, label_column;
  bool json = false, headers = false, strict = false;
};

int inspect_data(const InspectFlags& f) {
  const auto dataset = open_dataset(f.path, {.image_column = f.image_column,
                                             .label_column = f.label_column,
                                             .bad = f.strict ? Bad::fail : Bad::skip});
  const auto found = inspect(dataset, f.headers ? Look::headers : Look::pixels);
  if (f.json)
    fmt::print("{}\n", to_json(found).dump(2));
  else
    fmt::print("{}", to_text(found));
  return 0;
}

void add_inspect_data(CLI::App& data, Action& action) {
  auto* const command = data.add_subcommand("inspect", "count, measure and check a data set");
  auto f = std::make_shared<InspectFlags>();
  command->add_option("path", f->path, "data set: folder or file")->required();
  command->add_option("--image-column", f->image_column, "a table's column of image paths");
  command->add_option("--label-column", f->label_column, "a table's column of labels");
  command->add_flag("--headers", f->headers, "do not decode the images");
  command->add_flag("--strict", f->strict, "fail on the first bad sample");
  command->add_flag("--json", f->json, "print the findings as JSON");
  command->callback([f, &action] { action = [f] { return inspect_data(*f); }; });
}

struct SynthFlags {
  synth::SynthOptions options;
  std::string out;
  bool overwrite = false, json = false;
};

int synthesize_data(SynthFlags f) {
  if (f.overwrite) f.options.existing = synth::SynthOptions::Existing::overwrite;
  Progress line("synth", f.options.count);
  const auto summary = synth::synthesize(f.options, f.out, [&](std::int64_t done) { line.update(done, ""); });
  line.finish(f.options.count, "");
  for (const auto& font : summary.missing_fonts)
    spdlog::warn("font {} not found: package {}", font.name(), font.package);
  if (f.json) {
    nlohmann::json json{{"out", f.out}, {"fonts", summary.samples_by_font}};
    for (const auto& [split, count] : summary.samples) json["samples"][std::string(name_of(split))] = count;
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  for (const auto& [split, count] : summary.samples) fmt::print("{:10} {} images\n", name_of(split), count);
  fmt::print("{} fonts; in {}\n", summary.samples_by_font.size(), f.out);
  return 0;
}

void add_synth(CLI::App& data, Action& action) {
  auto* const command = data.add_subcommand("synth", "make synthetic handwriting from installed fonts");
  auto f = std::make_shared<SynthFlags>();
  auto& o = f->options;
  command->add_option("--out", f->out, "folder to write the set to")->required();
  command->add_option("--count", o.count, "images")->check(at_least(1))->capture_default_str();
  command->add_option("--height", o.size.height, "pixels")->check(CLI::Range(8, 4096))->capture_default_str();
  command->add_option("--width", o.size.width, "pixels")->check(CLI::Range(8, 16384))->capture_default_str();
  auto& t = o.text;
  command->add_option("--lists", t.lists, "english, german, french, or text files with one text a line")
      ->capture_default_str();
  command->add_option("--characters", t.characters, "keep words of these characters only; empty: all")
      ->capture_default_str();
  command->add_option("--min-length", t.min_length, "characters of a word")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--max-length", t.max_length, "characters of a word")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--min-words", t.min_words, "words an image")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--max-words", t.max_words, "words an image")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--lower", t.lower, "weight of words in lower case")->capture_default_str();
  command->add_option("--capitalised", t.capitalised, "weight of Capitalised words")->capture_default_str();
  command->add_option("--upper", t.upper, "weight of words in CAPITALS")->capture_default_str();
  command->add_option("--as-listed", t.as_listed, "weight of words as the list has them")
      ->capture_default_str();
  command->add_option("--numbers", t.numbers, "share of numbers")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--punctuation", t.punctuation, "share of words with a mark")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--shape", o.style.shape, "how much the hand varies, 0 to 2")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  command->add_option("--paper", o.style.paper, "how much paper, blur and noise vary, 0 to 2")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  command->add_option("--seed", o.seed, "seed of everything random")->capture_default_str();
  command->add_option("--threads", o.threads, "0: all processors")->check(at_least(0))->capture_default_str();
  command->add_flag("--overwrite", f->overwrite, "replace a set that is there");
  command->add_flag("--json", f->json, "print the counts as JSON");
  command->callback([f, &action] { action = [f] { return synthesize_data(*f); }; });
}

}  // namespace

void add_data(CLI::App& app, Action& action) {
  auto* const data = app.add_subcommand("data", "look into data sets, and make synthetic ones");
  data->require_subcommand(1);
  add_inspect_data(*data, action);
  add_synth(*data, action);
}

}  // namespace scrawl::cli
