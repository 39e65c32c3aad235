#pragma once
/// The register tile of our own matrix products in f32:
///
///   out[r][c] = init[r][c] + sum_k a_r[k] panel[k][c],   r < R <= 7, c < 64.
///
/// Seven rows of four vectors are 28 sums, and four vectors of the panel fill the 32 registers; a_r[k] comes
/// as an embedded broadcast. On Sapphire Rapids 95% of the FMA rate from L2 (7 rows 178 GFLOP/s a core, 6
/// rows 172, 12 rows of two vectors 162). bf16 operands are widened before: there vdpbf16ps issues every
/// other cycle, so its products come at half the rate of f32 FMAs.
/// Each row is one chain of FMAs in the order of k, whatever R is: a row's bits do not depend on its tile.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

inline constexpr int tile_rows = 7;
inline constexpr int tile_columns = 64;

/// Where a row of `a` continues: `count` runs of `length` values, `stride` values apart. K = count * length.
struct Runs {
  std::int64_t count, length, stride;
};

/// Operands of one tile. `rows`: R pointers to a_r. `panel`: (K, 64). `init`: rows of 64, `init_stride`
/// apart (0: one row for all). `out`: (R, 64), which may be `init` where init_stride is 64.
struct Tile {
  const float* const* rows;
  Runs runs;
  const float* panel;
  const float* init;
  std::ptrdiff_t init_stride;
  float* out;
};

namespace detail {

/// kStep: distance in `a` from one k to the next within a run.
template <int kRows, int kStep>
[[gnu::noinline]] void multiply_rows(const Tile& tile) {
  constexpr int vectors = tile_columns / lanes;
  f32x16 sums[kRows][vectors];
  const float* a[kRows];
#pragma GCC unroll 7
  for (int r = 0; r < kRows; ++r) {
    a[r] = tile.rows[r];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = load(tile.init + r * tile.init_stride + v * lanes);
  }
  const float* panel = tile.panel;
  for (std::int64_t run = 0; run < tile.runs.count; ++run) {
    for (std::int64_t k = 0; k < tile.runs.length; ++k) {
      f32x16 b[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) b[v] = load(panel + v * lanes);
#pragma GCC unroll 7
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] += b[v] * a[r][k * kStep];
      panel += tile_columns;
    }
#pragma GCC unroll 7
    for (int r = 0; r < kRows; ++r) a[r] += tile.runs.stride;
  }
#pragma GCC unroll 7
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(tile.out + r * tile_columns + v * lanes, sums[r][v]);
}

}  // namespace detail

template <int kStep>
void multiply(int rows, const Tile& tile) {
  using Multiply = void (*)(const Tile&);
  static constexpr Multiply by_rows[tile_rows] = {
      detail::multiply_rows<1, kStep>, detail::multiply_rows<2, kStep>, detail::multiply_rows<3, kStep>,
      detail::multiply_rows<4, kStep>, detail::multiply_rows<5, kStep>, detail::multiply_rows<6, kStep>,
      detail::multiply_rows<7, kStep>};
  by_rows[rows - 1](tile);
}

/// Calls `visit(first, rows)` for tiles that cover `count` rows, as even as they can be: a tile of few rows
/// costs nearly as much as a full one.
template <class Visit>
void for_each_tile(std::int64_t count, Visit&& visit) {
  const std::int64_t tiles = (count + tile_rows - 1) / tile_rows;
  for (std::int64_t i = 0; i < tiles; ++i) {
    const std::int64_t first = count * i / tiles;
    visit(first, static_cast<int>(count * (i + 1) / tiles - first));
  }
}

}  // namespace scrawl::cpu
