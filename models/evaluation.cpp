#include "models/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "models/data/loader.h"
#include "models/text.h"

namespace scrawl {

double Evaluation::error() const { return text ? text->cer() : 1 - classes->accuracy(); }

std::int64_t Evaluation::samples() const { return text ? text->samples() : classes->samples(); }

std::shared_ptr<BatchMaker> evaluation_batches(const std::shared_ptr<const Dataset>& dataset,
                                               const std::vector<std::size_t>& indices, const Recipe& recipe,
                                               const Alphabet& alphabet, int batch, Bad bad) {
  return std::make_shared<BatchMaker>(
      dataset, indices, alphabet,
      BatchOptions{.preparation = recipe.input, .pass = Pass::evaluate, .size = batch, .bad = bad});
}

Evaluation evaluate(Recognizer& recognizer, const std::shared_ptr<BatchMaker>& batches,
                    const EvaluationOptions& options) {
  const auto& alphabet = recognizer.alphabet();
  Evaluation result;
  if (alphabet.target() == Target::sequence)
    result.text.emplace();
  else
    result.classes.emplace(alphabet.classes());

  const auto start = std::chrono::steady_clock::now();
  Loader loader(batches, {.workers = options.workers});
  double loss = 0;
  std::int64_t with_loss = 0, done = 0;
  while (const auto batch = loader.next()) {
    const auto readings = recognizer.read(*batch, NetworkUse::evaluation);
    for (std::size_t i = 0; i < readings.size(); ++i) {
      const auto& info = batches->dataset().info(batch->samples[i]);
      const auto& reading = readings[i];
      if (std::isfinite(reading.loss) && alphabet.knows(info.label)) loss += reading.loss, ++with_loss;
      if (result.text)
        result.text->add(to_utf8(normalise(info.label, alphabet.normalisation())), reading.text, info.writer);
      else
        result.classes->add(batch->labels[i], reading.class_index);
    }
    done += batch->n;
    if (options.progress) options.progress(done, batches->samples());
    if (options.stop && options.stop()) break;
  }
  if (done == 0)
    throw DataError("{}: none of the {} samples could be read", batches->dataset().name(),
                    batches->samples());
  if (with_loss) result.loss = loss / static_cast<double>(with_loss);
  result.skipped = static_cast<std::int64_t>(batches->skipped().size()) +
                   std::ranges::count_if(batches->dataset().skipped(),
                                         [](const Skipped& s) { return s.reason != another_split; });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

nlohmann::json to_json(const Evaluation& e, const std::string& dataset, const std::string& split) {
  nlohmann::json json = e.text ? e.text->to_json() : e.classes->to_json();
  json["dataset"] = dataset;
  json["split"] = split;
  json["skipped"] = e.skipped;
  json["loss"] = e.loss;
  json["seconds"] = e.seconds;
  json["images_per_second"] = e.seconds > 0 ? static_cast<double>(e.samples()) / e.seconds : 0;
  return json;
}

}  // namespace scrawl
