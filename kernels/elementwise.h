#pragma once
/// Copies, sums and rearrangements.
///
/// Copy: y = x scale + offset, converting type and placement (a named reorder in a graph). Any two float
///   types, u8 to float, or u8 to u8 (scale 1, offset 0). Exact for scale 1, offset 0 where the type is not
///   narrowed.
/// Add: y = a + b, one shape and type; y may alias a or b.
/// Dropout: y = x / (1 - rate) where kept, else 0. Kept iff philox draw >= rate: the draw for logical
///   (row-major NCHW) element e of local sample n is word (e % 4) of philox(counter = {lo(g), hi(g), e / 4,
///   node}, key = {seed, step}) with g = counters[1] + n, step = counters[0], e counted within the sample;
///   sample n is axis `sample_axis` (1 for T N C, where e runs over (t, c)). counters: (2) i64. The backward
///   is the same call on dy. rate 0 copies. See kernels/random.h.
/// ImageToSequence: y[t,n,c H + h] = x[n,c,h,t]; x (N,C,H,W), y (W,N,C H).
/// SequenceToImage: the inverse, its gradient.
/// Flatten: y[n, (c H + h) W + w] = x[n,c,h,w], PyTorch's order. Unflatten: the inverse, its gradient.

#include "kernels/view.h"

namespace scrawl {

struct Copy {
  float scale = 1, offset = 0;
  View x, y;
};

struct Add {
  View a, b, y;
};

struct Dropout {
  float rate = 0;
  std::uint32_t seed = 0, node = 0;
  int sample_axis = 0;
  View x, counters, y;
};

struct ImageToSequence {
  View x, y;
};

struct SequenceToImage {
  View x, y;
};

struct Flatten {
  View x, y;
};

struct Unflatten {
  View x, y;
};

}  // namespace scrawl
