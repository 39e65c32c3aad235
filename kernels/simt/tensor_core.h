#pragma once
/// What a warp's lanes bring to ldmatrix and mma.sync, and what these make of it: the parts of a Meeting.
/// Which element lies in which lane stands in kernels/cuda/device/mma.h.

#include "kernels/cuda/device/fragments.h"
#include "kernels/dtype.h"
#include "kernels/simt/lane.h"

namespace scrawl::simt {

template <int kMatrices, bool kTransposed>
struct MatrixLoad {
  std::uint16_t row[8];  ///< what lies at the lane's own address
  Words<kMatrices> result;

  static void work(const std::array<void*, warp_lanes>&, std::uint32_t mask);
};

/// T is f16, bf16 or tf32. Sums in f32, by k.
template <class T>
struct Product {
  Words<4> a;
  Words<2> b;
  Accumulator c;

  static void work(const std::array<void*, warp_lanes>&, std::uint32_t mask);
};

}  // namespace scrawl::simt
