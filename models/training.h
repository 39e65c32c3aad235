#pragma once
/// Training that can be left alone: epochs, validation, checkpoints, an exact resume.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "models/evaluation.h"
#include "models/recipe.h"
#include "runtime/device/device.h"

namespace scrawl {

/// What to do with characters of the data that the alphabet of loaded weights lacks, and the other way round.
enum class AlphabetPolicy : std::uint8_t {
  fail,     ///< the data must fit the weights' alphabet
  unite,    ///< the weights' alphabet, then what the data adds
  replace,  ///< the data's alphabet; the output layer keeps the rows of characters in both
};

struct TrainingOptions {
  Recipe recipe;
  std::filesystem::path out;  ///< the run directory
  enum class Start : std::uint8_t { fresh, resume } start = Start::fresh;
  std::string load;  ///< weights to begin with; empty: random
  AlphabetPolicy alphabet = AlphabetPolicy::fail;
  Bad bad = Bad::skip;
};

struct TrainingResult {
  int epochs = 0;  ///< done
  int best_epoch = 0;
  nlohmann::json best;            ///< validation of the best epoch, as eval --json prints it
  double seconds = 0;             ///< of training, over all resumptions
  int signal = 0;                 ///< SIGINT or SIGTERM if that ended it, after a checkpoint; else 0
  std::filesystem::path weights;  ///< the best
};

/// Trains, in `out`: config.toml, results.csv, event files, weights/, checkpoints/ (FORMATS).
/// Throws UsageError if `out` holds a run already (fresh), or none that can go on (resume); DivergedError
/// after `most_skipped` steps in a row without a finite loss; and what loading, planning and writing throw.
/// SIGINT and SIGTERM save a checkpoint and end the run.
TrainingResult train(const TrainingOptions&, Device&);

inline constexpr int most_skipped = 10;

}  // namespace scrawl
