#pragma once
/// From a data set to batches: order, preparation, augmentation and labels, as a function of position.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "models/alphabet.h"
#include "models/data/augment.h"
#include "models/data/dataset.h"
#include "models/data/prepare.h"
#include "models/data/prepared_images.h"

namespace scrawl {

/// Samples for one step.
struct Batch {
  int n = 0, h = 0, w = 0, c = 0;
  std::vector<std::uint8_t> pixels;  ///< (n, h, w, c); 255 is ink
  std::vector<std::int32_t> widths;  ///< (n) valid columns
  std::vector<std::int32_t> labels;  ///< classes of all labels, one behind the other; (n) for classifiers
  std::vector<std::int32_t> label_lengths;  ///< (n) 1 for classifiers
  std::vector<std::size_t> samples;         ///< (n) indices in the data set, for keys, texts and writers
  std::int64_t first_global_sample =
      0;                           ///< position of slot 0; slot i has the number first_global_sample + i
  std::int64_t next_position = 0;  ///< where the batch after this one starts
  int valid =
      0;  ///< slots of this epoch; the others repeat samples from the epoch's beginning to fill the batch
};

/// What the batches are for.
enum class Pass : std::uint8_t {
  train,     ///< endless, shuffled each epoch, augmented; every batch is full
  evaluate,  ///< once through in order; the last batch may be smaller
};

struct BatchOptions {
  Preparation preparation;
  Pass pass = Pass::train;
  int size = 128;  ///< samples a batch of this rank
  std::uint64_t seed = 1;
  Augmentation augmentation;  ///< of training
  double balance = 0;         ///< of training: power of balanced_epoch_order; classifiers only
  Bad bad = Bad::skip;

  /// CTC: time steps that the network makes of a valid width. Where set, training leaves out labels that
  /// no path can spell.
  std::function<int(int valid_width)> frames;

  int rank = 0;  ///< training: this process takes slice `rank` of a global batch of size * ranks samples
  int ranks = 1;
  std::size_t cache_bytes = std::size_t{2} << 30;  ///< budget of PreparedImages
};

/// Makes the batch of any position. A position is the number of samples consumed over all epochs and ranks.
/// Thread-safe; equal arguments make equal batches, in whatever order they are asked for.
///
/// Samples are left out, and counted in skipped(): for a label that the alphabet cannot encode (evaluation of
/// text keeps the sample and encodes what it can, so that metrics count the error), for an infeasible label,
/// and for an image that cannot be decoded: training then takes the next sample of the epoch in its place,
/// evaluation shrinks the batch. Under Bad::fail each is a DataError.
class BatchMaker {
 public:
  /// `indices` are the samples of `dataset` to use. Throws UsageError for options out of range, DataError
  /// when no sample is left.
  BatchMaker(std::shared_ptr<const Dataset> dataset, const std::vector<std::size_t>& indices, const Alphabet&,
             BatchOptions);

  Batch make(std::int64_t position);

  /// Where the batch after the one at `position` starts. Training never crosses the end of an epoch: a batch
  /// there is filled up from the epoch's beginning.
  std::int64_t position_after(std::int64_t position) const;

  /// Whether an evaluation ends before `position`; never true in training.
  bool ends_at(std::int64_t position) const;

  const Dataset& dataset() const { return *dataset_; }
  std::int64_t samples() const { return static_cast<std::int64_t>(labels_.size()); }        ///< of an epoch
  std::int64_t batches() const { return (samples() + global_size() - 1) / global_size(); }  ///< of an epoch
  std::vector<Skipped> skipped() const;

 private:
  using Order = std::vector<std::uint32_t>;

  std::vector<std::size_t> select(const std::vector<std::size_t>& indices, const Alphabet&);
  std::shared_ptr<const Order> order(std::int64_t epoch);
  bool append(Batch&, std::size_t sample);
  void skip(std::size_t index, std::string reason, std::string detail);
  std::int64_t global_size() const { return std::int64_t{options_.size} * options_.ranks; }

  std::shared_ptr<const Dataset> dataset_;
  BatchOptions options_;
  std::vector<Skipped> skipped_;
  std::vector<std::vector<std::int32_t>> labels_;  // of the samples selected
  PreparedImages images_;

  mutable std::mutex mutex_;  // of skipped_, and of all below
  std::set<std::size_t> unreadable_;
  std::int64_t order_epoch_ = -1;
  std::shared_ptr<const Order> order_;  // of order_epoch_
};

}  // namespace scrawl
