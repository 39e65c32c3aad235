#include "kernels/cpu/lstm_layout.h"

#include <numeric>

namespace scrawl::cpu {
namespace {

constexpr std::int64_t gates = 4;

/// Transposes 16 vectors in place: in each stage, pairs of rows exchange the blocks off the diagonal.
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

}  // namespace

void transpose(f32x16 (&rows)[lanes]) {
  transpose_stage<8>(rows);
  transpose_stage<4>(rows);
  transpose_stage<2>(rows);
  transpose_stage<1>(rows);
}

LstmCells::LstmCells(const LstmExtents& extents, const View& lengths, std::int32_t* table)
    : batch_(extents.batch),
      lengths_(table),
      rows_(lengths_ + extents.batch),
      places_(rows_ + extents.cells()) {
  const auto steps = static_cast<std::int32_t>(extents.steps);
  for (std::int64_t n = 0; n < batch_; ++n)
    lengths_[n] = lengths.present() ? std::clamp(lengths.as<std::int32_t>()[n], 0, steps) : steps;
  for (std::int64_t t = 0; t < extents.steps; ++t)
    for (std::int64_t n = 0; n < batch_; ++n) {
      if (!valid(t, n)) continue;
      const auto place = static_cast<std::int32_t>(t * batch_ + n);
      rows_[place] = static_cast<std::int32_t>(count_);
      places_[count_++] = place;
    }
}

LstmLanes::LstmLanes(const LstmExtents& extents, int threads)
    : extents_(extents),
      parts_(std::clamp<std::int64_t>(threads / std::gcd<std::int64_t>(threads, extents.directions), 1,
                                      std::max<std::int64_t>(extents.batch, 1))) {}

LstmLane LstmLanes::operator[](std::int64_t index) const {
  const std::int64_t part = index % parts_, first = extents_.batch * part / parts_;
  return {index / parts_, first, extents_.batch * (part + 1) / parts_ - first};
}

void pack_bias(const LstmExtents& extents, const float* b, float* packed) {
  for (std::int64_t block = 0; block < extents.blocks(); ++block)
    for (std::int64_t gate = 0; gate < gates; ++gate, packed += lanes) {
      const std::int64_t unit = block * lanes;
      const auto units = static_cast<int>(std::min<std::int64_t>(lanes, extents.hidden - unit));
      store(packed, load(b + gate * extents.hidden + unit, units));
    }
}

template <class T>
void pack_gate_columns(const LstmExtents& extents, const T* w, std::int64_t depth, std::int64_t block,
                       float* panel) {
  const std::int64_t unit = block * lanes, units = std::min<std::int64_t>(lanes, extents.hidden - unit);
  for (std::int64_t gate = 0; gate < gates; ++gate) {
    const T* from = w + (gate * extents.hidden + unit) * depth;
    for (std::int64_t k = 0; k < depth; k += lanes) {
      const auto columns = static_cast<int>(std::min<std::int64_t>(lanes, depth - k));
      f32x16 square[lanes] = {};
      for (std::int64_t u = 0; u < units; ++u) square[u] = load(from + u * depth + k, columns);
      transpose(square);
      for (int i = 0; i < columns; ++i) store(panel + (k + i) * tile_columns + gate * lanes, square[i]);
    }
  }
}

template <class T>
void pack_gate_rows(const LstmExtents& extents, const T* w, std::int64_t depth, std::int64_t first,
                    float* panel) {
  for (std::int64_t block = 0; block < extents.blocks(); ++block)
    for (std::int64_t gate = 0; gate < gates; ++gate)
      for (std::int64_t unit = block * lanes; unit < (block + 1) * lanes; ++unit)
        for (std::int64_t column = first; column < first + tile_columns; column += lanes, panel += lanes) {
          const auto left = std::clamp<std::int64_t>(depth - column, 0, lanes);
          const auto count = unit < extents.hidden ? static_cast<int>(left) : 0;
          store(panel, load(w + (gate * extents.hidden + unit) * depth + column, count));
        }
}

template void pack_gate_columns(const LstmExtents&, const float*, std::int64_t, std::int64_t, float*);
template void pack_gate_columns(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, float*);
template void pack_gate_columns(const LstmExtents&, const f16*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const float*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const bf16*, std::int64_t, std::int64_t, float*);
template void pack_gate_rows(const LstmExtents&, const f16*, std::int64_t, std::int64_t, float*);

}  // namespace scrawl::cpu
