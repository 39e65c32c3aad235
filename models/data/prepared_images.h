#pragma once
/// The prepared images of a data set, kept in memory where they fit, so that later epochs decode nothing.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/data/dataset.h"
#include "models/data/prepare.h"

namespace scrawl {

/// Thread-safe. Holds the images only if all of them fit the budget: keeping some would make epochs uneven.
class PreparedImages {
 public:
  /// `indices` are the samples of `dataset` that will be asked for.
  PreparedImages(std::shared_ptr<const Dataset> dataset, std::vector<std::size_t> indices, const Preparation&,
                 std::size_t budget_bytes);

  std::size_t size() const { return indices_.size(); }
  std::size_t index(std::size_t position) const { return indices_[position]; }  ///< in the data set
  const Preparation& preparation() const { return preparation_; }

  /// Writes the image of indices[position] to `out` and returns its valid width. Throws what decoding throws.
  int read(std::size_t position, std::span<std::uint8_t> out);

 private:
  enum State : std::uint8_t { absent, busy, present };

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::size_t> indices_;
  Preparation preparation_;
  std::unique_ptr<std::uint8_t[]> pixels_;  // (size, height, width, channels); null when over budget
  std::vector<std::int32_t> valid_widths_;
  std::vector<std::atomic<std::uint8_t>> states_;
};

}  // namespace scrawl
