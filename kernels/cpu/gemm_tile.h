#pragma once
/// Our own matrix products in f32, or in pairs of bf16 (bf16_pairs.h), 64 columns at a time:
///
///   out[i][c] = init[i][c] + sum_k a_i[k] panel[k][c],   c < 64.
///
/// The register tile is 7 rows of four vectors, each a_i[k] broadcast. 128 rows of the panel are 32 KiB: they
/// stay in L1 while all rows of `a` pass over them, and the next 128 are fetched into L2 meanwhile. On
/// Sapphire Rapids that is 92% of the FMA rate for 128 rows of `a` and K = 512, where the panels come from
/// L3, against 86% without the fetch; a panel read from L2 by each tile of 4 rows gives 66%, from L1 90%.
/// k counts elements, of one value or of two. Each sum is one chain of FMAs in the order of k: a row's bits
/// depend neither on its tile nor on other rows.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/bf16_pairs.h"

namespace scrawl::cpu {

inline constexpr int tile_rows = 7;
inline constexpr int tile_columns = 64;
inline constexpr std::int64_t panel_depth = 128;  ///< rows of a panel that stay in L1

inline constexpr float zero_row[tile_columns] = {};

/// Where a row of `a` lies: `count` runs of `length` values, `stride` values apart. K = count * length.
struct Runs {
  std::int64_t count, length, stride;
};

/// `panel`: (K, 64). `init`: rows of 64, `init_stride` apart (0: one row for all). `out`: (rows, 64), which
/// may be `init` where init_stride is 64.
template <class Element>
struct PanelProduct {
  std::int64_t rows;
  Runs runs;
  const Element* panel;
  const float* init;
  std::ptrdiff_t init_stride;
  float* out;
  const Element* next = nullptr;  ///< panel of the product to follow, if not just behind this one
};

namespace detail {

template <class Element>
struct Tile {
  const Element* a[tile_rows];
  Runs runs;
  const Element* panel;
  const float* init;
  std::ptrdiff_t init_stride;
  float* out;
  const Element* next;  ///< fetched into L2, a cache line for each k
};

template <class Element, int kRows>
[[gnu::noinline]] void multiply_tile(const Tile<Element>& tile) {
  using Vector = typename Operand<Element>::Vector;
  constexpr int vectors = tile_columns / lanes;
  f32x16 sums[kRows][vectors];
  const Element* a[kRows];
#pragma GCC unroll 7
  for (int r = 0; r < kRows; ++r) {
    a[r] = tile.a[r];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = load(tile.init + r * tile.init_stride + v * lanes);
  }
  const Element *panel = tile.panel, *next = tile.next;
  std::int64_t runs = tile.runs.count;
  do {
    std::int64_t k = 0;
    do {
      Vector b[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) b[v] = load_bits<Vector>(panel + v * lanes);
#pragma GCC unroll 7
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) Operand<Element>::add_product(sums[r][v], b[v], a[r][k]);
      panel += tile_columns;
      __builtin_prefetch(next, 0, 2);
      next += lanes;
    } while (++k < tile.runs.length);
#pragma GCC unroll 7
    for (int r = 0; r < kRows; ++r) a[r] += tile.runs.stride;
  } while (--runs > 0);
#pragma GCC unroll 7
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(tile.out + r * tile_columns + v * lanes, sums[r][v]);
}

template <class Element>
using MultiplyTile = void (*)(const Tile<Element>&);
template <class Element>
inline constexpr MultiplyTile<Element> multiply_tile_of[tile_rows] = {
    multiply_tile<Element, 1>, multiply_tile<Element, 2>, multiply_tile<Element, 3>,
    multiply_tile<Element, 4>, multiply_tile<Element, 5>, multiply_tile<Element, 6>,
    multiply_tile<Element, 7>};

}  // namespace detail

/// `row(i)` gives the address of a_i. K must be at least 1.
template <class Element, class Row>
void multiply_panel(const PanelProduct<Element>& product, Row&& row) {
  const Runs& runs = product.runs;
  // Either part of the one run, or some of the runs.
  const std::int64_t depth = runs.count == 1 ? runs.length : runs.count,
                     block =
                         runs.count == 1 ? panel_depth : std::max<std::int64_t>(panel_depth / runs.length, 1),
                     step = runs.count == 1 ? 1 : runs.stride,
                     panel_step = (runs.count == 1 ? 1 : runs.length) * tile_columns;
  // As even as they can be: a tile of few rows costs nearly as much as a full one.
  const std::int64_t tiles = (product.rows + tile_rows - 1) / tile_rows;
  for (std::int64_t k = 0; k < depth; k += block) {
    const std::int64_t k_count = std::min(block, depth - k);
    detail::Tile<Element> tile;
    tile.runs = runs.count == 1 ? Runs{1, k_count, 0} : Runs{k_count, runs.length, runs.stride};
    tile.panel = product.panel + k * panel_step;
    tile.init_stride = k == 0 ? product.init_stride : tile_columns;
    const bool is_last = k + block >= depth;
    const Element* next = is_last && product.next ? product.next : tile.panel + k_count * panel_step;
    for (std::int64_t i = 0; i < tiles; ++i) {
      const std::int64_t first = product.rows * i / tiles, rows = product.rows * (i + 1) / tiles - first;
      for (std::int64_t r = 0; r < rows; ++r) tile.a[r] = row(first + r) + k * step;
      tile.out = product.out + first * tile_columns;
      tile.next = next + std::min<std::int64_t>(i, tile_columns / lanes - 1) * (panel_depth * lanes);
      tile.init = k == 0 ? product.init + first * product.init_stride : tile.out;
      detail::multiply_tile_of<Element>[rows - 1](tile);
    }
  }
}

}  // namespace scrawl::cpu
