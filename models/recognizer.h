#pragma once
/// A network in use: batches in, log-probabilities and losses out. One program a batch shape, planned once.

#include <map>
#include <memory>
#include <tuple>

#include "models/data/batch.h"
#include "models/decode/greedy.h"
#include "models/network.h"
#include "runtime/graph/program.h"

namespace scrawl {

/// Copies a batch to a program's inputs. Labels are padded to the program's longest; frames is T.
/// Throws DataError for labels that the kernels cannot take (kernels/ctc.h).
void fill_inputs(Device&, const Program&, const Batch&, const Recipe&, int classes, std::int64_t frames);

class Recognizer {
 public:
  /// The weights are in `storage`; all references must outlive the recognizer. Throws DeviceError for a
  /// precision that the device lacks.
  Recognizer(Device& device, Storage& storage, Arena& arena, const Recipe& recipe, const Alphabet& alphabet,
             Precision precision)
      : device_(device),
        storage_(storage),
        arena_(arena),
        recipe_(recipe),
        alphabet_(alphabet),
        type_(storage_type(precision)),
        selection_(selection_for(device, precision)) {}

  /// What was read of one sample.
  struct Reading {
    std::string text;
    double confidence = 0;         ///< decode/greedy.h for sequences, the class's probability otherwise
    std::int32_t class_index = 0;  ///< of a classifier
    double loss = 0;               ///< where the batch has labels
    std::vector<std::pair<std::string, double>> alternatives;  ///< of a classifier: classes by probability
  };

  /// Reads a batch. With `use` evaluation the batch has labels, and readings have losses.
  std::vector<Reading> read(const Batch&, NetworkUse use, int alternatives = 0);

  /// To be called after the weights changed.
  void weights_changed() { prepared_.clear(); }

  const Alphabet& alphabet() const { return alphabet_; }
  const Recipe& recipe() const { return recipe_; }

 private:
  struct Shaped {
    std::unique_ptr<Program> program;
    std::int64_t frames;
  };
  using Key = std::tuple<int, int, std::int64_t, NetworkUse>;  // samples, width, longest label

  Shaped& program_for(const Batch&, NetworkUse);
  Reading reading(const View& log_p, const std::vector<std::int32_t>& lengths, std::size_t sample,
                  int alternatives) const;

  Device& device_;
  Storage& storage_;
  Arena& arena_;
  const Recipe& recipe_;
  const Alphabet& alphabet_;
  DType type_;
  Selection selection_;
  std::map<Key, Shaped> programs_;
  std::map<Key, bool> prepared_;
};

}  // namespace scrawl
