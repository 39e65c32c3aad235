#pragma once
/// The phases of the LSTM's backward: the recurrence (lstm_backward.cpp) leaves the gradients of all gate
/// sums; the gradients of inputs and parameters (lstm_gradients.cpp) are products of these.

#include "kernels/cpu/lstm_layout.h"
#include "kernels/lstm.h"

namespace scrawl::cpu {

/// One call's operands and workspace, which all phases read. Made without a workspace it only counts bytes.
/// Elements are what products multiply; the gates' gradients are rounded to their values.
template <class Element>
struct LstmBackwardPass {
  using Value = typename Operand<Element>::Value;
  static constexpr std::int64_t values = Operand<Element>::values;

  const LstmBackward& call;
  const LstmExtents& extents;
  LstmCells valid;
  Element *w_ih, *w_hh;  ///< (panels of I, D, gates, 64), (D, panels of H, gates, 64)
  Value* gates;          ///< gradients of the gate sums: (D, blocks, gate_rows, 64)

  LstmBackwardPass(const LstmBackward& call, const LstmExtents& extents, Workspace& workspace)
      : call(call), extents(extents), valid(extents, workspace) {
    const std::int64_t panels = extents.directions * panel_size();
    w_ih = workspace.take<Element>(panels * panels_of(extents.inputs));
    w_hh = workspace.take<Element>(panels * panels_of(extents.hidden));
    gates = workspace.take<Value>(extents.directions * extents.blocks() * gate_rows() * tile_columns);
  }

  /// A power of two from one block to the next would put the same rows of all blocks into the same sets of
  /// the caches.
  std::int64_t gate_rows() const { return (extents.cells() + 15) / 16 * 16 + 7; }
  Value* gates_at(std::int64_t direction, std::int64_t block, std::int64_t row) const {
    return gates + ((direction * extents.blocks() + block) * gate_rows() + row) * tile_columns;
  }
  /// The gates of one cell, block by block, in one direction or both.
  Runs gate_runs(std::int64_t directions) const {
    return {directions * extents.blocks(), tile_columns / values, gate_rows() * tile_columns / values};
  }
  /// Elements of a panel for products over the gates of one direction.
  std::int64_t panel_size() const { return extents.blocks() * tile_columns / values * tile_columns; }
};

/// dx = w_ih^T times the gates' gradients, summed over directions; zero beyond the sequences.
template <class T, class Element>
void differentiate_inputs(const LstmBackwardPass<Element>&, int threads);

/// dw_ih, dw_hh and db. Sums run over cells in the order of time, then sample, whatever the threads.
template <class T, class Element>
void differentiate_parameters(const LstmBackwardPass<Element>&, int threads, Workspace&);

/// Counts what differentiate_parameters takes.
template <class Element>
void reserve_for_parameters(const LstmBackwardPass<Element>&, int threads, Workspace&);

}  // namespace scrawl::cpu
