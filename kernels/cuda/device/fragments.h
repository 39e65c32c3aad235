#pragma once
/// What a lane holds of a tensor core's operands and sums, on GPUs and on simt. Which elements these are
/// stands in mma.h.

#include <cstdint>

namespace scrawl {

template <int N>
struct Words {
  std::uint32_t w[N];
};

/// Of a tile of 16 x 8.
struct Accumulator {
  float f[4] = {};
};

/// Names the type of products for which f32 is rounded to tf32 first.
struct tf32 {};

}  // namespace scrawl
