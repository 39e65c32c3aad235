#pragma once
/// Sixteen vectors of sixteen as a square.

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

}  // namespace scrawl::cpu
