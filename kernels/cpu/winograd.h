#pragma once
/// Winograd's minimal filtering F(4x4, 3x3): a 4x4 tile of a 3x3 convolution from 36 products instead of 144.
///
///   Y = A^T [(G g G^T) . (B^T d B)] A / 9        d 6x6 image tile, g 3x3 weights, Y 4x4 results
///   dg = G^T [(B^T d B) . (A dY A^T)] G / 9      the same identity, solved for g
///
/// The usual G has thirds; here they are moved out of G into A and the final 1/9, so that every constant
/// but that one is an integer or a power of two: small integers come out exactly.
/// Sums over channels (or tiles) happen between the transforms, as 36 matrix products.
/// Source: Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.

#include "kernels/cpu/vector.h"

namespace scrawl::cpu::winograd {

inline constexpr int image_tile = 6, result_tile = 4, taps = 3;
inline constexpr int products = image_tile * image_tile;
inline constexpr float ninth = 1.0f / 9.0f;

// Each function is one matrix of the above applied to a column; kernels apply it to columns, then rows.

/// B^T: 6 -> 6.
struct ImageTransform {
  static constexpr int from = 6, to = 6;
  [[gnu::always_inline]] static void apply(const f32x16* d, f32x16* v) {
    const f32x16 even1 = d[4] - 4.0f * d[2], odd1 = d[3] - 4.0f * d[1];
    const f32x16 even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
    v[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
  }
};

/// G: 3 -> 6.
struct WeightTransform {
  static constexpr int from = 3, to = 6;
  [[gnu::always_inline]] static void apply(const f32x16* g, f32x16* u) {
    const f32x16 even1 = -0.5f * (g[0] + g[2]), odd1 = 0.5f * g[1];
    const f32x16 even2 = 0.125f * g[0] + 0.5f * g[2], odd2 = 0.25f * g[1];
    u[0] = 0.25f * g[0];
    u[1] = even1 - odd1;
    u[2] = even1 + odd1;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
  }
};

/// A^T: 6 -> 4.
struct ResultTransform {
  static constexpr int from = 6, to = 4;
  [[gnu::always_inline]] static void apply(const f32x16* m, f32x16* y) {
    const f32x16 even1 = m[1] + m[2], odd1 = m[1] - m[2];
    const f32x16 even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = 3.0f * m[0] + even1 + even2;
    y[1] = odd1 + 2.0f * odd2;
    y[2] = even1 + 4.0f * even2;
    y[3] = 3.0f * m[5] + odd1 + 8.0f * odd2;
  }
};

/// A: 4 -> 6, of dY.
struct ResultGradientTransform {
  static constexpr int from = 4, to = 6;
  [[gnu::always_inline]] static void apply(const f32x16* y, f32x16* m) {
    const f32x16 even1 = y[0] + y[2], odd1 = y[1] + y[3];
    const f32x16 even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    m[0] = 3.0f * y[0];
    m[1] = even1 + odd1;
    m[2] = even1 - odd1;
    m[3] = even2 + odd2;
    m[4] = even2 - odd2;
    m[5] = 3.0f * y[3];
  }
};

/// G^T: 6 -> 3, of dU.
struct WeightGradientTransform {
  static constexpr int from = 6, to = 3;
  [[gnu::always_inline]] static void apply(const f32x16* u, f32x16* g) {
    const f32x16 sum1 = u[1] + u[2], sum2 = u[3] + u[4];
    g[0] = 0.25f * u[0] - 0.5f * sum1 + 0.125f * sum2;
    g[1] = 0.5f * (u[2] - u[1]) + 0.25f * (u[3] - u[4]);
    g[2] = 0.5f * (sum2 - sum1) + u[5];
  }
};

/// T applied to both axes of a tile. `in(i, j)` gives an element, `out(i, j, value)` takes one.
template <class T, class In, class Out>
[[gnu::always_inline]] inline void transform(In&& in, Out&& out) {
  f32x16 half[T::to][T::from];
#pragma GCC unroll 6
  for (int j = 0; j < T::from; ++j) {
    f32x16 column[T::from], transformed[T::to];
#pragma GCC unroll 6
    for (int i = 0; i < T::from; ++i) column[i] = in(i, j);
    T::apply(column, transformed);
#pragma GCC unroll 6
    for (int i = 0; i < T::to; ++i) half[i][j] = transformed[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < T::to; ++i) {
    f32x16 transformed[T::to];
    T::apply(half[i], transformed);
#pragma GCC unroll 6
    for (int j = 0; j < T::to; ++j) out(i, j, transformed[j]);
  }
}

}  // namespace scrawl::cpu::winograd
