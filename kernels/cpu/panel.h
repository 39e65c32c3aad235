#pragma once
/// Panels of gemm_tile.h from matrices that lie the other way.

#include <algorithm>

#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/transpose.h"

namespace scrawl::cpu {

/// Sixteen columns of a panel, from memory in which each column is a run of `depth` values, `stride` apart;
/// of the sixteen, `columns` exist and the others are zeros. Values beyond the depth are zeros too.
template <class T, class Element>
void pack_columns(const T* from, std::int64_t stride, int columns, std::int64_t depth, Element* panel) {
  constexpr int values = Operand<Element>::values;
  for (std::int64_t k = 0; k < depth; k += lanes) {
    const auto count = static_cast<int>(std::min<std::int64_t>(lanes, depth - k));
    f32x16 square[lanes] = {};
    for (int c = 0; c < columns; ++c) square[c] = load(from + c * stride + k, count);
    transpose(square);
    for (int i = 0; i < count; i += values)
      store_bits(panel + (k + i) / values * tile_columns,
                 Operand<Element>::joined(square[i], square[i + values - 1]));
  }
}

}  // namespace scrawl::cpu
