#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "models/predictor.h"
#include "tools/cli/command.h"

namespace scrawl::cli {
namespace {

struct PredictFlags {
  std::string model, precision = "f32";
  std::vector<std::string> images;
  int top = 3;
  bool json = false;
  DeviceFlags device;
};

nlohmann::json to_json(const std::string& image, const Recognizer::Reading& reading) {
  auto alternatives = nlohmann::json::array();
  for (const auto& [text, confidence] : reading.alternatives)
    alternatives.push_back({{"text", text}, {"confidence", confidence}});
  return {{"image", image},
          {"text", reading.text},
          {"confidence", reading.confidence},
          {"alternatives", alternatives}};
}

/// Reads every image that can be read; the exit code is that of the first one that cannot.
int run(const PredictFlags& f) {
  auto device = f.device.open();
  Predictor predictor(f.model, *device, precision_named(f.precision));
  auto results = nlohmann::json::array();
  int code = 0;
  for (const auto& image : f.images) {
    try {
      const auto reading = predictor.read(image, f.top - 1);
      if (f.json)
        results.push_back(to_json(image, reading));
      else
        fmt::print("{}\t{}\t{:.1f}%\n", image, reading.text, 100 * reading.confidence);
    } catch (const DataError& error) {
      spdlog::error("{}", error.what());
      if (code == 0) code = static_cast<int>(error.code());
    }
  }
  if (f.json) fmt::print("{}\n", results.dump(2));
  return code;
}

}  // namespace

void add_predict(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("predict", "read images: file, text and confidence, a line each");
  auto f = std::make_shared<PredictFlags>();
  command->add_option("model", f->model, "run directory or .safetensors file")->required();
  command->add_option("images", f->images, "image files: PNG, JPEG, BMP, PGM")->required();
  command->add_option("--top", f->top, "how many readings of a classifier, the best included")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--precision", f->precision, precision_choices)->capture_default_str();
  command->add_flag("--json", f->json, "print the readings as JSON");
  f->device.add_to(*command);
  f->device.add_choices_to(*command);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
