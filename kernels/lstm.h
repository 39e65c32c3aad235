#pragma once
/// One LSTM layer, one or two directions, with variable lengths.
///
/// [i f g o] = w_ih x_t + w_hh h_{t-1} + b (PyTorch's order);  c_t = s(f) c_{t-1} + s(i) tanh(g);
/// h_t = s(o) tanh(c_t), s the logistic function. The reverse direction runs from t = lengths[n] - 1 to 0.
/// x (T,N,I); y (T,N,D H), forward h first, zero at t >= lengths[n]; lengths (N) i32 or absent (all T).
/// w_ih (D,4H,I), w_hh (D,4H,H), b (D,4H) f32; h0, c0, hn, cn (D,N,H), h0 and c0 absent: zero; hn, cn are
/// the states after each sequence's last step in its direction (h0, c0 where the length is 0), or absent.
/// x, y, w_ih, w_hh: f32, bf16 or f16, one type; h0, hn like x; c0, cn f32. Sums, gates and cells in f32;
/// backward may round the gradients of the gates' sums to the storage type, to multiply with them.
/// reserve: opaque bytes (u8, rank 1), aligned as workspaces are, that carry forward's activations to
/// backward; the planner sets the extent; absent in inference. Padding changes no bit of any valid output or
/// gradient of another sample.
/// backward overwrites dx (zero beyond lengths), dw_ih, dw_hh, db (all f32) and dh0, dc0 where present;
/// dhn, dcn are absent where zero. No aliasing.
/// Source: Hochreiter & Schmidhuber, 1997; Graves & Schmidhuber, 2005.

#include "kernels/view.h"

namespace scrawl {

struct LstmForward {
  View x, lengths, h0, c0, w_ih, w_hh, b;
  View y, hn, cn, reserve;
};

struct LstmBackward {
  View x, lengths, h0, c0, w_ih, w_hh, b, y, reserve, dy, dhn, dcn;
  View dx, dh0, dc0, dw_ih, dw_hh, db;
};

}  // namespace scrawl
