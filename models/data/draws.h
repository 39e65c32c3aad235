#pragma once
/// A short sequence of random numbers that belongs to one thing: the order of an epoch, one augmented sample.

#include <cstdint>

#include "kernels/random.h"

namespace scrawl {

/// Numbers of the Philox counters {block, index, purpose and part} under the key `seed`: equal arguments give
/// equal sequences, different ones independent sequences.
class Draws {
 public:
  enum class Purpose : std::uint32_t { shuffle = 1, shuffle_class = 2, augment = 3 };

  /// `index` is what the numbers are for (an epoch, a global sample), `part` a part of it, below 2^24.
  Draws(std::uint64_t seed, Purpose purpose, std::uint64_t index, std::uint32_t part = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                 static_cast<std::uint32_t>(purpose) << 24 | part} {}

  std::uint32_t next() {
    if (used_ == words_.size()) {
      words_ = philox(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return words_[used_++];
  }

  /// Uniform in [0, n); a value's probability is off by at most n / 2^32 of itself.
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(std::uint64_t{next()} * n >> 32); }

  /// Uniform in [-extent, extent).
  float around_zero(double extent) { return static_cast<float>(extent) * (2.0f * uniform01(next()) - 1.0f); }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  std::size_t used_ = 4;
};

}  // namespace scrawl
