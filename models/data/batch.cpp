#include "models/data/batch.h"

#include <algorithm>

#include "kernels/ctc.h"
#include "kernels/error.h"
#include "models/data/order.h"

namespace scrawl {
namespace {

const BatchOptions& checked(const BatchOptions& options, const Alphabet& alphabet) {
  check(options.preparation);
  check(options.augmentation);
  if (options.size < 1) throw UsageError("batch: expected at least 1 sample, got {}", options.size);
  if (options.ranks < 1 || options.rank < 0 || options.rank >= options.ranks)
    throw UsageError("batch: expected a rank from 0 to {}, got {}", options.ranks - 1, options.rank);
  if (options.pass == Pass::evaluate && options.ranks > 1)
    throw UsageError("batch: evaluation runs on one rank, got {}", options.ranks);
  if (options.balance != 0 && alphabet.target() != Target::single)
    throw UsageError("balance: expected a classifier, got labels of text");
  return options;
}

}  // namespace

BatchMaker::BatchMaker(std::shared_ptr<const Dataset> dataset, const std::vector<std::size_t>& indices,
                       const Alphabet& alphabet, BatchOptions options)
    : dataset_(std::move(dataset)),
      options_(checked(options, alphabet)),
      images_(dataset_, select(indices, alphabet), options_.preparation, options_.cache_bytes) {
  if (labels_.empty()) {
    std::string left_out;
    for (const auto& [reason, count] : count_by_reason(skipped_))
      left_out += fmt::format("; {}: {}", reason, count);
    throw DataError("{}: expected samples to batch, got none{}", dataset_->name(), left_out);
  }
}

std::vector<std::size_t> BatchMaker::select(const std::vector<std::size_t>& indices,
                                            const Alphabet& alphabet) {
  const bool train = options_.pass == Pass::train;
  std::vector<std::size_t> selected;
  for (const std::size_t index : indices) {
    const SampleInfo& info = dataset_->info(index);
    std::vector<std::int32_t> label;
    try {
      label = alphabet.encode(info.label);
    } catch (const DataError& error) {
      if (train || alphabet.target() == Target::single) {
        skip(index, "label outside the alphabet", error.what());
        continue;
      }
      label = alphabet.encode_known(info.label);
    }
    // Cropping decides the width only once the image is decoded.
    if (train && options_.frames && options_.preparation.crop == Crop::none) {
      const int frames = options_.frames(valid_width(info.size, options_.preparation));
      if (const auto least = ctc_least_steps(label); frames < least) {
        skip(index, "label too long", fmt::format("'{}' needs T >= {}, got {}", info.label, least, frames));
        continue;
      }
    }
    selected.push_back(index);
    labels_.push_back(std::move(label));
  }
  return selected;
}

void BatchMaker::skip(std::size_t index, std::string reason, std::string detail) {
  const std::string& key = dataset_->info(index).key;
  if (options_.bad == Bad::fail) throw DataError("{}: {}: {}", key, reason, detail);
  skipped_.push_back({key, std::move(reason), std::move(detail)});
}

std::vector<Skipped> BatchMaker::skipped() const {
  const std::lock_guard lock(mutex_);
  return skipped_;
}

std::shared_ptr<const BatchMaker::Order> BatchMaker::order(std::int64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch != order_epoch_) {
    if (options_.balance == 0) {
      order_ = std::make_shared<const Order>(epoch_order(labels_.size(), options_.seed, epoch));
    } else {
      std::vector<std::int32_t> classes;
      for (const auto& label : labels_) classes.push_back(label[0]);
      order_ = std::make_shared<const Order>(
          balanced_epoch_order(classes, options_.balance, options_.seed, epoch));
    }
    order_epoch_ = epoch;
  }
  return order_;
}

std::int64_t BatchMaker::position_after(std::int64_t position) const {
  return position + std::min(global_size(), samples() - position % samples());
}

bool BatchMaker::ends_at(std::int64_t position) const {
  return options_.pass == Pass::evaluate && position >= samples();
}

Batch BatchMaker::make(std::int64_t position) {
  const Preparation& preparation = options_.preparation;
  const std::int64_t first = std::int64_t{options_.rank} * options_.size;  // of this rank's slots
  const std::int64_t offset = position % samples();                        // in the epoch
  Batch batch{.h = preparation.height, .w = preparation.width, .c = preparation.channels};
  batch.first_global_sample = position + first;
  batch.next_position = position_after(position);
  const auto left = std::clamp<std::int64_t>(samples() - offset - first, 0, options_.size);

  if (options_.pass == Pass::evaluate) {
    batch.pixels.resize(static_cast<std::size_t>(left) * preparation.bytes());
    for (std::int64_t i = 0; i < left; ++i) append(batch, static_cast<std::size_t>(offset + i));
    batch.pixels.resize(static_cast<std::size_t>(batch.n) * preparation.bytes());
    batch.valid = batch.n;
    return batch;
  }

  batch.pixels.resize(static_cast<std::size_t>(options_.size) * preparation.bytes());
  batch.valid = static_cast<int>(left);
  const auto epoch = order(position / samples());
  for (std::int64_t slot = 0; slot < options_.size; ++slot) {
    std::int64_t tries = 0;
    while (!append(batch, (*epoch)[static_cast<std::size_t>((offset + first + slot + tries) % samples())]))
      if (++tries == samples()) throw DataError("{}: no image can be decoded", dataset_->name());
  }
  return batch;
}

/// Adds a sample as the batch's next slot; false when its image cannot be decoded.
bool BatchMaker::append(Batch& batch, std::size_t sample) {
  const std::size_t bytes = options_.preparation.bytes();
  const auto out = std::span(batch.pixels).subspan(static_cast<std::size_t>(batch.n) * bytes, bytes);
  const bool varied = options_.pass == Pass::train && options_.augmentation != Augmentation{};
  std::vector<std::uint8_t> original(varied ? bytes : 0);
  int valid = 0;
  try {
    valid = images_.read(sample, varied ? std::span(original) : out);
  } catch (const DataError& error) {
    if (options_.bad == Bad::fail) throw;
    const std::lock_guard lock(mutex_);
    if (unreadable_.insert(sample).second) skip(images_.index(sample), "unreadable image", error.what());
    return false;
  }
  if (varied)
    augment(original, {batch.h, batch.w, batch.c, valid}, options_.augmentation, options_.seed,
            batch.first_global_sample + batch.n, out);
  ++batch.n;
  batch.widths.push_back(valid);
  batch.labels.insert(batch.labels.end(), labels_[sample].begin(), labels_[sample].end());
  batch.label_lengths.push_back(static_cast<std::int32_t>(labels_[sample].size()));
  batch.samples.push_back(images_.index(sample));
  return true;
}

}  // namespace scrawl
