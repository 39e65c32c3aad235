#pragma once
/// Division by a number that a launch knows: a multiplication and a shift in place of some twenty
/// instructions.

#include <cstdint>

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

/// Divides 0 .. 2^31 - 1 by 1 .. 2^31 - 1. Source: Granlund and Montgomery, "Division by invariant integers
/// using multiplication", 1994: with l = ceil(log2 d), m = ceil(2^(31 + l) / d) fits 32 bits and
/// floor(n / d) = floor(n m / 2^(31 + l)) for n < 2^31.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(std::int64_t divisor) : divisor_(static_cast<std::int32_t>(divisor)) {
    while (std::int64_t{1} << shift_ < divisor) ++shift_;
    const auto power = std::uint64_t{1} << (31 + shift_);
    factor_ = static_cast<std::uint32_t>((power + static_cast<std::uint64_t>(divisor) - 1) /
                                         static_cast<std::uint64_t>(divisor));
  }

  SCRAWL_DEVICE int value() const { return divisor_; }

  SCRAWL_DEVICE int quotient(int n) const {
    const auto product = static_cast<std::uint64_t>(static_cast<std::uint32_t>(n)) * factor_;
    return static_cast<int>(static_cast<std::uint32_t>(product >> 31) >> shift_);
  }

 private:
  std::int32_t divisor_ = 1;
  int shift_ = 0;
  std::uint32_t factor_ = 0x80000000u;
};

}  // namespace SCRAWL_CUDA
