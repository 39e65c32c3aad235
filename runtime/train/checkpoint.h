#pragma once
/// Checkpoints: all that a run needs to continue bit for bit, on disk so that a crash at any moment leaves
/// the last one whole.
///
///   checkpoints/step_00001200/weights.safetensors    the weights and what the network is
///                             optimizer.safetensors  moments, master weights
///                             state.json             step, schedule, loss scale, seed, samples, fingerprint
///                             DONE                   empty, written last: without it the folder is ignored

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "runtime/io/safetensors.h"

namespace scrawl {

/// What to save, borrowed.
struct CheckpointContent {
  std::span<const NamedView> weights;
  nlohmann::json metadata;  ///< of the weights file: architecture, input, alphabet, ...
  std::span<const NamedView> optimizer;
  nlohmann::json state;  ///< an object; `step` is added to it
};

struct Checkpoint {
  std::int64_t step = 0;
  TensorFile weights, optimizer;
  nlohmann::json state;
};

/// Writes `checkpoints`/step_%08d, replacing a checkpoint of the same step in one move, and returns its path.
/// Throws WriteError; then nothing of the new checkpoint is left, and the old ones are untouched.
std::filesystem::path save_checkpoint(const std::filesystem::path& checkpoints, std::int64_t step,
                                      const CheckpointContent&);

/// The complete checkpoint of the highest step; empty when there is none, or no such folder.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& checkpoints);

/// Reads a complete checkpoint. Throws DataError for one that is incomplete, damaged or renamed.
Checkpoint load_checkpoint(const std::filesystem::path& folder);

/// Removes all but the `keep` >= 1 latest complete checkpoints, and what interrupted saves left behind. Not
/// while a save is going on. Throws WriteError.
void prune_checkpoints(const std::filesystem::path& checkpoints, int keep);

}  // namespace scrawl
