#pragma once
/// Division by a number that is known before the launch: a product and a shift.

#include <bit>
#include <cstdint>

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

/// n / divisor for n and divisor below 2^31. With 2^(s-1) < divisor <= 2^s, ceil(2^(31+s) / divisor) exceeds
/// the quotient by less than 2^s / divisor 2^-31, too little to carry n past the next whole number. Source:
/// Granlund & Montgomery, "Division by invariant integers using multiplication", 1994.
struct Divisor {
  std::uint32_t divisor = 1;
  std::uint32_t factor = 1u << 31;
  int shift = 31;

  Divisor() = default;
  explicit Divisor(std::int64_t by)
      : divisor(static_cast<std::uint32_t>(by)), shift(31 + std::bit_width(divisor - 1)) {
    factor = static_cast<std::uint32_t>(((std::uint64_t{1} << shift) + divisor - 1) / divisor);
  }
  SCRAWL_DEVICE int value() const { return static_cast<int>(divisor); }
  SCRAWL_DEVICE int quotient(int n) const {
    return static_cast<int>(std::uint64_t{static_cast<std::uint32_t>(n)} * factor >> shift);
  }
  /// Of any n: above 2^31 it takes a division.
  SCRAWL_DEVICE std::int64_t quotient_of_any(std::int64_t n) const {
    return n >> 31 == 0 ? quotient(static_cast<int>(n)) : n / divisor;
  }
};

}  // namespace SCRAWL_CUDA
