#pragma once
/// The moments of a convolution's result (moments.h), taken of its tiles while they are in shared memory:
/// batch norm then need not read what was written. A tile leaves 12 bytes a channel, beside the 2 or 4 that
/// each of its 64 or 128 pixels takes; blocks spread over the GPU make few parts of these.
///
/// Predicted in bf16 at batch 256, for a1, a2, a3: 268, 134, 67 MB are not read, 50, 25, 6 MB of moments are
/// written and read. A warp makes some 200 instructions more of a tile (700 of one of 128), beside some 900,
/// 1100 and 7000. Not measured.

#include "kernels/cuda/convolution.h"
#include "kernels/cuda/moments.h"

namespace SCRAWL_CUDA {

/// Where tiles leave the moments of what they write: those of rows tile i are part i.
struct TileMoments {
  Partials partials{{}, 0, 0};
  Widths widths;  ///< of the result

  SCRAWL_DEVICE bool are_wanted() const { return partials.parts > 0; }
  SCRAWL_DEVICE bool is_valid(const PatchRows& rows, int m) const {
    if (!widths.each) return true;
    const auto [image, line, column] = rows.pixel(m);
    return column < widths[image];
  }
};

/// Of a column of a tile, from row `begin` to `end`.
template <class Tile, class IsValid>
SCRAWL_DEVICE CountedMoments column_moments(ResultTile<Tile>& result, int column, int begin, int end,
                                            IsValid is_valid) {
  while (begin < end && !is_valid(begin)) ++begin;
  if (begin >= end) return {};
  const float shift = result.at(begin, column);
  float first = 0, second = 0;
  int count = 0;
#pragma unroll 8
  for (int row = begin; row < end; ++row) {
    if (!is_valid(row)) continue;
    const float deviation = result.at(row, column) - shift;
    first += deviation;
    second = fmaf(deviation, deviation, second);
    ++count;
  }
  return {Moments::of_sums(shift, first, second, 1 / static_cast<float>(count)), count};
}

/// Writes the tile at (m, n) with its bias, up to column n_end, zeros where rows are not valid, and leaves
/// the moments of those that are. All lanes of the block call.
template <class Tile>
SCRAWL_DEVICE void write_with_moments(const Result& p, const TileMoments& moments, const PatchRows& rows,
                                      ResultTile<Tile>& result, int m, int n, int n_end) {
  using Rows = TileRows<Tile>;
  static_assert(ResultTile<Tile>::stride > Tile::n);
  const int m_end = p.m - m < Tile::m ? p.m - m : Tile::m;
  const auto is_valid = [&](int row) -> float& { return result.at(row, Tile::n); };  // behind its columns
  const int first = n + Rows::column(), count = n_end - first;
  if (count > 0) {
    const auto bias = Chunk::bias(p.bias, first, count);
#pragma unroll 1
    for (int row = Rows::row(); row < m_end; row += Rows::down) {
      auto chunk = Chunk::load(&result.at(row, Rows::column()));
      const bool is_inside = moments.is_valid(rows, m + row);
#pragma unroll
      for (int i = 0; i < Chunk::columns; ++i) chunk.sums[i] = is_inside ? chunk.sums[i] + bias.sums[i] : 0;
      const auto at = std::int64_t{m + row} * p.n + first;
      with_y(p, [&](auto* y) { chunk.write(y + at, count, p.in_vectors); });
      chunk.store(&result.at(row, Rows::column()));
      if (Rows::column() == 0) is_valid(row) = is_inside ? 1 : 0;
    }
  }
  sync_block();
  // Each lane has a column, or half of one.
  constexpr int halves = threads_of<Tile> / Tile::n, half = Tile::m / halves;
  static_assert(threads_of<Tile> == halves * Tile::n && (halves == 1 || halves == 2));
  const int column = thread_index() % Tile::n, begin = thread_index() / Tile::n * half;
  const int end = n + column >= n_end ? begin : m_end < begin + half ? m_end : begin + half;
  const auto take = [&](auto is_taken) { return column_moments(result, column, begin, end, is_taken); };
  auto own = moments.widths.each ? take([&](int row) { return is_valid(row) != 0; })
                                 : take([](int) { return true; });
  if constexpr (halves == 2) {
    // The second half's moments take the place of its pixels, which only this lane reads.
    if (begin > 0) {
      result.at(half, column) = own.of.shift;
      result.at(half + 1, column) = own.of.first;
      result.at(half + 2, column) = own.of.second;
      result.at(half + 3, column) = static_cast<float>(own.count);
    }
    sync_block();
    if (begin > 0) return;
    own.merge({{result.at(half, column), result.at(half + 1, column), result.at(half + 2, column)},
               static_cast<int>(result.at(half + 3, column))});
  }
  if (n + column >= n_end) return;
  const int part = m / Tile::m;
  if (n + column == 0) moments.partials.counts[part] = own.count;
  moments.partials.leave(std::int64_t{part} * p.n + n + column, own.of);
}

}  // namespace SCRAWL_CUDA
