#pragma once
/// Probabilities of CTC's states: a mantissa, which f32 arithmetic moves, and an integer exponent of its own.
/// No state is lost however far it lies below the others, and neither exponential nor logarithm is on the
/// chain from frame to frame: sums align their terms by powers of two.
///
/// A mantissa is at least 1. A frame multiplies it by less than 6 (three terms, times the mantissa of an
/// emission), so that it is brought back to [1, 2) only now and then, and the exponents of a frame wait for
/// no mantissa of the frame before.

#include <bit>
#include <cstdint>

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA::ctc {

struct alignas(8) Scaled {
  float mantissa;
  int exponent;
};

/// Exponents of a probability of zero lie near `never`, all others above `least`; those of two states and of
/// a frame can be added.
inline constexpr int never = -(1 << 29), least = never / 2;
/// 6^16 is below 2^42: two mantissas multiplied stay finite.
inline constexpr int frames_between_normalisations = 16;

SCRAWL_DEVICE Scaled impossible() { return {1, never}; }

SCRAWL_DEVICE int larger(int a, int b) { return a > b ? a : b; }

/// 2^d for d up to 127; 0 below -126.
SCRAWL_DEVICE float power_of_two(int d) { return std::bit_cast<float>((larger(d, -127) + 127) << 23); }

SCRAWL_DEVICE float value_of(Scaled p) { return p.mantissa * power_of_two(p.exponent); }

/// The same, with a mantissa in [1, 2); NaN stays NaN.
SCRAWL_DEVICE Scaled normalised(Scaled p) {
  const int bits = std::bit_cast<int>(p.mantissa);
  const float kept = std::bit_cast<float>((bits & 0x007fffff) | 0x3f800000);
  return {kept + (p.mantissa - p.mantissa), p.exponent + (bits >> 23) - 127};
}

SCRAWL_DEVICE Scaled operator*(Scaled a, Scaled b) {
  return {a.mantissa * b.mantissa, larger(a.exponent + b.exponent, never)};
}

SCRAWL_DEVICE Scaled sum(Scaled a, Scaled b) {
  const int e = larger(a.exponent, b.exponent);
  return {fmaf(a.mantissa, power_of_two(a.exponent - e), b.mantissa * power_of_two(b.exponent - e)), e};
}

SCRAWL_DEVICE Scaled sum(Scaled a, Scaled b, Scaled c) {
  const int e = larger(larger(a.exponent, b.exponent), c.exponent);
  return {fmaf(a.mantissa, power_of_two(a.exponent - e),
               fmaf(b.mantissa, power_of_two(b.exponent - e), c.mantissa * power_of_two(c.exponent - e))),
          e};
}

/// exp(y), at least 2^-range unless it is 0. NaN, and what lies above 2^range, gives NaN.
SCRAWL_DEVICE Scaled exponential(float y, float range) {
  constexpr float log2_e = 1.44269504f, ln_2_upper = 0.693359375f, ln_2_lower = -2.12194440e-4f;
  if (y == -INFINITY) return impossible();
  const float n = rintf(y * log2_e);
  if (n < -range) return {1, -static_cast<int>(range)};
  if (!(n <= range)) return {NAN, 0};
  const float rest = fmaf(n, -ln_2_lower, fmaf(n, -ln_2_upper, y));
  return normalised({expf(rest), static_cast<int>(n)});
}

/// One word, for a shuffle.
SCRAWL_DEVICE std::uint64_t packed(Scaled p) { return std::bit_cast<std::uint64_t>(p); }
SCRAWL_DEVICE Scaled unpacked(std::uint64_t word) { return std::bit_cast<Scaled>(word); }

}  // namespace SCRAWL_CUDA::ctc
