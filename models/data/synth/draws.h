#pragma once
/// The random numbers of one sample, as a stream that Philox makes from (seed, sample, purpose).

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/random.h"

namespace scrawl::synth {

/// What numbers are drawn for. Each purpose has a stream of its own, so that one that draws more or fewer
/// leaves the others as they were.
enum class Purpose : std::uint32_t { text, pen, paper, grain };

class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t sample, Purpose purpose)
      : key_{low(seed), high(seed)},
        counter_{low(sample), high(sample), static_cast<std::uint32_t>(purpose), 0} {}

  std::uint32_t bits() {
    if (used_ == words_.size()) {
      words_ = philox(counter_, key_);
      ++counter_[3];
      used_ = 0;
    }
    return words_[used_++];
  }

  float uniform() { return uniform01(bits()); }  ///< [0, 1)
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  bool chance(double probability) { return uniform() < probability; }

  /// 0 .. n - 1 for n > 0. Source: Lemire, "Fast random integer generation in an interval", 2019; its bias
  /// of n / 2^32 is left in.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((std::uint64_t{bits()} * n) >> 32); }

  /// Nearly normal, mean 0, variance 1: the sum of four random bytes, so never beyond 3.45.
  float normal() {
    const std::uint32_t b = bits();
    const auto sum = (b & 255u) + (b >> 8 & 255u) + (b >> 16 & 255u) + (b >> 24);
    constexpr float deviation = 147.8f;  // sqrt(4 (256^2 - 1) / 12)
    return (static_cast<float>(sum) - 510.0f) / deviation;
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t v) { return static_cast<std::uint32_t>(v); }
  static constexpr std::uint32_t high(std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); }

  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  std::size_t used_ = 4;
};

}  // namespace scrawl::synth
