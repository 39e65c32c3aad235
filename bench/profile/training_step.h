#pragma once
/// The training step of a recipe, as `scrawl train` does it, without what a run keeps.

#include <memory>
#include <optional>

#include "bench/profile/timeline.h"
#include "models/alphabet.h"
#include "models/data/loader.h"
#include "models/network.h"
#include "models/recipe.h"
#include "runtime/graph/program.h"

namespace scrawl::bench {

class TrainingStep {
 public:
  /// Batches come from recipe.data_path, augmented, on the recipe's workers; where that is empty, all are one
  /// random batch of so many classes. Throws what opening, planning and memory throw.
  TrainingStep(const Recipe&, int classes, Device&);

  /// One step. Its calls are told to `watch`, if any, and are not in the result.
  StepTimes run(CallWatch* watch = nullptr);

  const Program& program() const { return *program_; }
  const Graph& graph() const { return graph_; }  ///< as the device's backend takes it
  bool has_data() const { return loader_ != nullptr; }
  std::string data() const;  ///< "bars, 90 samples", or what it has in their place
  int classes() const { return classes_; }

 private:
  void open_data();

  const Recipe recipe_;
  int classes_;
  Device& device_;
  Storage storage_;
  Arena arena_;
  std::shared_ptr<const Dataset> dataset_;
  std::optional<Alphabet> alphabet_;
  std::shared_ptr<BatchMaker> batches_;
  std::unique_ptr<Loader> loader_;
  Network network_;
  Graph graph_;
  std::unique_ptr<Program> program_;
  std::int64_t step_ = 0, random_samples_ = 0;
};

}  // namespace scrawl::bench
