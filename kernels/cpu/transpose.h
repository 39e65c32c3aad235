#pragma once
/// Vectors as a matrix, one a row: its transpose.

#include <algorithm>

#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

namespace detail {

/// In each stage, pairs of rows exchange the blocks off the diagonal.
template <int kWidth>
[[gnu::always_inline]] inline void transpose_stage(f32x16 (&rows)[lanes]) {
  const i32x16 lane = lane_numbers();
  const i32x16 upper = (lane & kWidth) != 0;  // all ones where the lane is in the upper half of its block
  const i32x16 low = upper ? lane - kWidth + lanes : lane, high = upper ? lane + lanes : lane + kWidth;
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (i & kWidth) continue;
    const f32x16 a = rows[i], b = rows[i + kWidth];
    rows[i] = __builtin_shuffle(a, b, low);
    rows[i + kWidth] = __builtin_shuffle(a, b, high);
  }
}

}  // namespace detail

/// Transposes 16 x 16 values in place.
[[gnu::always_inline]] inline void transpose(f32x16 (&rows)[lanes]) {
  detail::transpose_stage<8>(rows);
  detail::transpose_stage<4>(rows);
  detail::transpose_stage<2>(rows);
  detail::transpose_stage<1>(rows);
}

/// Transposes a matrix of kRows x 16, kRows a power of two, in place: afterwards lane c of row r is at
/// position c * kRows + r of all vectors.
template <int kRows>
[[gnu::always_inline]] inline void interleave(f32x16 (&rows)[kRows]) {
  const i32x16 half = lane_numbers() >> 1, odd = (lane_numbers() & 1) * lanes;
#pragma GCC unroll 4
  for (int stage = 1; stage < kRows; stage *= 2) {
    f32x16 merged[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows / 2; ++i) {
      merged[2 * i] = __builtin_shuffle(rows[i], rows[i + kRows / 2], half + odd);
      merged[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + kRows / 2], half + odd + lanes / 2);
    }
    std::copy_n(merged, kRows, rows);
  }
}

/// The inverse of interleave.
template <int kRows>
[[gnu::always_inline]] inline void deinterleave(f32x16 (&rows)[kRows]) {
  const i32x16 even = 2 * lane_numbers();
#pragma GCC unroll 4
  for (int stage = 1; stage < kRows; stage *= 2) {
    f32x16 split[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows / 2; ++i) {
      split[i] = __builtin_shuffle(rows[2 * i], rows[2 * i + 1], even);
      split[i + kRows / 2] = __builtin_shuffle(rows[2 * i], rows[2 * i + 1], even + 1);
    }
    std::copy_n(split, kRows, rows);
  }
}

}  // namespace scrawl::cpu
