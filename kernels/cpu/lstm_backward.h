#pragma once
/// The phases of the LSTM's backward: the recurrence (lstm_backward.cpp) leaves the gradients of all gate
/// sums; the gradients of inputs and parameters (lstm_gradients.cpp) are products of these.

#include "kernels/cpu/lstm_layout.h"
#include "kernels/lstm.h"

namespace scrawl::cpu {

/// Places in the workspace.
struct LstmBackwardWorkspace {
  std::size_t w_ih, w_hh, table, gates, lanes, threads;
  std::size_t lane_bytes, thread_bytes;  ///< of each lane, of each thread in the gradients of parameters
  std::size_t bytes;

  LstmBackwardWorkspace(const LstmExtents&, const LstmLanes&, int threads);
};

/// One call's operands and workspace, which all phases read.
struct LstmBackwardPass {
  const LstmBackward& call;
  const LstmExtents& extents;
  const LstmCells& valid;
  const LstmBackwardWorkspace& at;
  Bytes workspace;
  int threads;

  /// Gradients of the gate sums: (D, blocks, rows, 64). A power of two from one block to the next would put
  /// the same rows of all blocks into the same sets of the caches.
  static std::int64_t gate_rows(const LstmExtents& extents) { return (extents.cells() + 15) / 16 * 16 + 7; }
  float* gates_at(std::int64_t direction, std::int64_t block, std::int64_t row) const {
    return at_offset<float>(workspace, at.gates) +
           ((direction * extents.blocks() + block) * gate_rows(extents) + row) * tile_columns;
  }
  /// The gates of one cell, block by block, in one direction or both.
  Runs gate_runs(std::int64_t directions) const {
    return {directions * extents.blocks(), tile_columns, gate_rows(extents) * tile_columns};
  }
  /// Floats of a panel for products over the gates of one direction.
  std::int64_t panel_size() const { return extents.blocks() * tile_columns * tile_columns; }
};

/// dx = w_ih^T times the gates' gradients, summed over directions; zero beyond the sequences.
template <class T>
void differentiate_inputs(const LstmBackwardPass&);

/// dw_ih, dw_hh and db. Sums run over cells in the order of time, then sample, whatever the threads.
template <class T>
void differentiate_parameters(const LstmBackwardPass&);

/// What a thread of differentiate_parameters needs.
std::int64_t parameter_gradient_floats(const LstmExtents&);

}  // namespace scrawl::cpu
