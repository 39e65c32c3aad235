#pragma once
/// What the kernels of convolutions have in common: a convolution as a product, by groups,
///   y (rows, K) = patches (rows, depth) w^T,  w (K, depth),
/// and results whose rows are pixels, as they are or pooled.

#include "kernels/cuda/patches.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/widths.h"
#include "kernels/pool.h"

namespace SCRAWL_CUDA {

/// T: as stored.
template <class T>
struct Convolution {
  Patches<T> patches;
  Matrix<T> w;  ///< (K, depth), rows `stride` apart
  int columns;  ///< of a group: K / groups
};

/// Max pooling of rows that come window by window, then the activation.
struct Pooling {
  std::uint8_t* argmax;          ///< like y, or null
  Widths widths, pooled_widths;  ///< of the convolution's result, and of y
  bool is_on;
};

/// The largest of a window's sums, and which: the first of equals, and NaN above all (pool.h).
struct WindowMax {
  Chunk best;
  int index[Chunk::columns];

  SCRAWL_DEVICE void take(const Chunk& sums, int pixel, bool is_first) {
#pragma unroll
    for (int i = 0; i < Chunk::columns; ++i) {
      const float x = sums.sums[i];
      if (is_first || x > best.sums[i] || (x != x && best.sums[i] == best.sums[i])) {
        best.sums[i] = x;
        index[i] = pixel;
      }
    }
  }
};

/// Pools the tile at (m, n) and writes it, up to column n_end.
template <class Tile>
SCRAWL_DEVICE void write_pooled(const Result& p, const Pooling& pooling, const PatchRows& rows,
                                ResultTile<Tile>& result, int m, int n, int n_end) {
  using Rows = TileRows<Tile>;
  const int first = n + Rows::column(), count = n_end - first, pixels = rows.window.value();
  if (count <= 0) return;
  const auto bias = Chunk::bias(p.bias, first, count);
#pragma unroll 1
  for (int row = Rows::row() * pixels; row < Tile::m && m + row < rows.count; row += Rows::down * pixels) {
    int valid = 0x7fffffff;  // columns of the convolution's result that are inside, from this window's first
    bool is_kept = true;
    if (pooling.widths.each) {
      const auto [image, line, column] = rows.pixel(m + row);
      valid = pooling.widths[image] - column;
      is_kept = rows.window_w.quotient(column) < pooling.pooled_widths[image];
    }
    WindowMax max{};
    bool is_first = true;
#pragma unroll 1
    for (int i = 0; i < pixels; ++i) {
      const int column = i - rows.window_w.quotient(i) * rows.window_w.value();
      if (column >= valid) continue;
      max.take(Chunk::load(&result.at(row + i, Rows::column())), i, is_first);
      is_first = false;
    }
    const bool is_empty = is_first || !is_kept;
#pragma unroll
    for (int i = 0; i < Chunk::columns; ++i)
      max.best.sums[i] = is_empty ? 0 : activated(p.activation, max.best.sums[i] + bias.sums[i]);
    const auto at = std::int64_t{rows.window.quotient(m + row)} * p.n + first;
    with_y(p, [&](auto* y) { max.best.write(y + at, count, p.in_vectors); });
    if (!pooling.argmax) continue;
    Vector<std::uint8_t, Chunk::columns> index;
#pragma unroll
    for (int i = 0; i < Chunk::columns; ++i)
      index[i] = static_cast<std::uint8_t>(is_empty ? 0 : max.index[i]);
    if (p.in_vectors && count >= Chunk::columns) {
      store_vector(pooling.argmax + at, index);
    } else {
#pragma unroll
      for (int i = 0; i < Chunk::columns; ++i)
        if (i < count) pooling.argmax[at + i] = index[i];
    }
  }
}

}  // namespace SCRAWL_CUDA
