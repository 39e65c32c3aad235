#pragma once
/// What the LSTM's forward and backward share: extents, the cells that lengths leave, and how gates and
/// weights lie in memory.
///
/// Hidden units go in blocks of 16; the four gates of a block are 64 neighbouring columns (i f g o, 16 each),
/// so that one register tile holds all that a cell needs. The hidden size is padded to whole blocks by units
/// whose weights are zero.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/parallel.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

struct LstmExtents {
  std::int64_t steps, batch, inputs, hidden, directions;

  std::int64_t blocks() const { return (hidden + lanes - 1) / lanes; }
  std::int64_t padded_hidden() const { return blocks() * lanes; }
  std::int64_t cells() const { return steps * batch; }
};

/// Panels of 64 that hold so many columns.
inline std::int64_t panels_of(std::int64_t columns) { return (columns + tile_columns - 1) / tile_columns; }

/// Of a call that has passed its check.
template <class Call>
LstmExtents lstm_extents(const Call& call) {
  const Shape &x = call.x.shape, &w_hh = call.w_hh.shape;
  return {.steps = x[0], .batch = x[1], .inputs = x[2], .hidden = w_hh[2], .directions = w_hh[0]};
}

/// The samples of one direction that one thread takes through all steps: no barrier within the sequence.
struct LstmLane {
  std::int64_t direction, first_sample, samples;
};

/// A cell (t, n) within its sequence's length. `row` counts these in the order of t, then n: the gates of a
/// cell are found by it, in either direction.
struct LstmCell {
  std::int32_t time, sample, row;
};

/// The cells of a batch of sequences.
class LstmCells {
 public:
  /// Takes tables from the workspace.
  LstmCells(const LstmExtents&, Workspace&);

  /// `lengths` may be absent; values beyond [0, T] count as the nearer end.
  void list(const View& lengths);

  std::int64_t count() const { return count_; }
  std::int64_t length(std::int64_t sample) const { return lengths_[sample]; }
  bool valid(std::int64_t time, std::int64_t sample) const { return time < lengths_[sample]; }
  std::int32_t row(std::int64_t time, std::int64_t sample) const { return rows_[time * batch_ + sample]; }

  /// time * N + sample of each row.
  std::span<const std::int32_t> places() const { return {places_, static_cast<std::size_t>(count_)}; }

  /// How many cells a lane has at its step-th step; of_step writes them.
  std::int64_t count_at(const LstmLane&, std::int64_t step) const;
  std::int64_t of_step(const LstmLane&, std::int64_t step, LstmCell* cells) const;

 private:
  std::int64_t steps_, batch_, count_ = 0;
  std::int32_t *lengths_, *rows_, *places_;
};

/// As many lanes as give every thread the same number of them, at most one a sample and direction.
std::vector<LstmLane> lstm_lanes(const LstmExtents&, int threads);

/// What backward needs of a cell and block: i, f, g, o after their functions, and c.
struct LstmReserve {
  static constexpr std::int64_t record = 5 * lanes;  ///< floats of a cell and block

  float* data;
  std::int64_t blocks, cells;

  LstmReserve(const LstmExtents& extents, const View& view)
      : data(view.as<float>()), blocks(extents.blocks()), cells(extents.cells()) {}

  /// (D, blocks, cells, i f g o c, 16)
  float* at(std::int64_t direction, std::int64_t block, std::int64_t row) const {
    return data + ((direction * blocks + block) * cells + row) * record;
  }
  static std::int64_t bytes(const LstmExtents& extents) {
    return extents.directions * extents.blocks() * extents.cells() * record * std::int64_t{sizeof(float)};
  }
};

/// Asks for one placement of a weight, (D,4H,K) as (D, blocks, K, 4 x 16): the panels of pack_gate_columns
/// for every block.
template <class Element>
void place_as_gate_columns(View& w, const LstmExtents&);

/// One direction's bias (4H) in the order of gate columns: (blocks x 4 x 16), zero in padding.
void pack_bias(const LstmExtents&, const float* b, float* packed);

/// A block's panel for products that give gates, from one direction's weights (4H, K): (K, 4 x 16).
/// Zero in padding.
template <class T, class Element>
void pack_gate_columns(const LstmExtents&, const T* w, std::int64_t depth, std::int64_t block,
                       Element* panel);

/// The panel of columns [first, first + 64) for products that sum over gates, from one direction's weights
/// (4H, K): (blocks x 4 x 16, 64). Zero in the rows and columns of padding.
template <class T, class Element>
void pack_gate_rows(const LstmExtents&, const T* w, std::int64_t depth, std::int64_t first, Element* panel);

}  // namespace scrawl::cpu
