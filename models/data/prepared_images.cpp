#include "models/data/prepared_images.h"

#include <algorithm>

namespace scrawl {

PreparedImages::PreparedImages(std::shared_ptr<const Dataset> dataset, std::vector<std::size_t> indices,
                               const Preparation& preparation, std::size_t budget_bytes)
    : dataset_(std::move(dataset)), indices_(std::move(indices)), preparation_(preparation) {
  check(preparation_);
  if (indices_.size() > budget_bytes / preparation_.bytes()) return;
  // Not zeroed: the system commits pages as images arrive.
  pixels_ = std::make_unique_for_overwrite<std::uint8_t[]>(indices_.size() * preparation_.bytes());
  valid_widths_.resize(indices_.size());
  states_ = std::vector<std::atomic<std::uint8_t>>(indices_.size());
}

int PreparedImages::read(std::size_t position, std::span<std::uint8_t> out) {
  const auto decode = [&] { return prepare(dataset_->image(indices_[position]), preparation_, out); };
  if (!pixels_) return decode();

  std::uint8_t* kept = pixels_.get() + position * preparation_.bytes();
  std::atomic<std::uint8_t>& state = states_[position];
  if (state.load(std::memory_order_acquire) == present) {
    std::copy_n(kept, out.size(), out.data());
    return valid_widths_[position];
  }
  const int valid = decode();
  // Only one of several threads that decode the same image at once keeps it.
  if (std::uint8_t expected = absent; state.compare_exchange_strong(expected, busy)) {
    std::ranges::copy(out, kept);
    valid_widths_[position] = valid;
    state.store(present, std::memory_order_release);
  }
  return valid;
}

}  // namespace scrawl
