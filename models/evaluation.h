#pragma once
/// A model measured on a split of a data set.

#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "models/data/dataset.h"
#include "models/metrics.h"
#include "models/recognizer.h"

namespace scrawl {

struct Evaluation {
  /// Mean over the samples whose label the network can spell; NaN, in JSON null, if there are none.
  double loss = std::numeric_limits<double>::quiet_NaN();
  double seconds = 0;        ///< of reading, loading included
  std::int64_t skipped = 0;  ///< samples of the split that could not be read, and any that the set left out
  std::optional<ClassifierMetrics> classes;
  std::optional<TextMetrics> text;

  /// What training selects by: CER, or the error rate of a classifier. Lower is better.
  double error() const;
  std::int64_t samples() const;
};

struct EvaluationOptions {
  int workers = 1;
  std::function<void(std::int64_t done, std::int64_t all)> progress;
  std::function<bool()> stop;  ///< asked between batches; true ends early with what was measured
};

/// The samples of a split as an evaluation reads them. Throws DataError when there is none, and under
/// Bad::fail for one that cannot be used.
std::shared_ptr<BatchMaker> evaluation_batches(const std::shared_ptr<const Dataset>&,
                                               const std::vector<std::size_t>& indices, const Recipe&,
                                               const Alphabet&, int batch, Bad);

/// Reads every sample of `batches` once. Throws DataError if none of them could be read.
Evaluation evaluate(Recognizer&, const std::shared_ptr<BatchMaker>& batches, const EvaluationOptions&);

/// The object of FORMATS: dataset, split, samples, skipped, loss, the metrics, seconds, images_per_second.
nlohmann::json to_json(const Evaluation&, const std::string& dataset, const std::string& split);

}  // namespace scrawl
