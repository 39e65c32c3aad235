#pragma once
/// Reductions and scans over a block, in one fixed order.

#include "kernels/cuda/device/warp.h"

namespace SCRAWL_CUDA {

struct Plus {
  SCRAWL_DEVICE double operator()(double a, double b) const { return a + b; }
};

/// One value a warp, in shared memory. Used again only after a sync_block.
template <class T>
struct PerWarp {
  static constexpr int most_warps = 32;
  T values[most_warps];
};

/// `combine` over all lanes of the block, whole warps; every lane gets the same bits. combine must commute.
/// All lanes of the block must call. Cost: 5 shuffles, one barrier, a read per warp.
template <class T, class Combine>
SCRAWL_DEVICE T reduce_block(T value, Combine combine, PerWarp<T>& scratch, Place place = Place::here()) {
  value = reduce_warp(value, combine, place);
  if (lane_index() == 0) scratch.values[warp_index()] = value;
  sync_block(place);
  value = scratch.values[0];
  for (int warp = 1; warp < block_size() / warp_size; ++warp) value = combine(value, scratch.values[warp]);
  return value;
}

/// combine over the lanes of the block up to and including the own one.
template <class T, class Combine>
SCRAWL_DEVICE T scan_block(T value, Combine combine, PerWarp<T>& scratch, Place place = Place::here()) {
  value = scan_warp(value, combine, place);
  if (lane_index() == warp_size - 1) scratch.values[warp_index()] = value;
  sync_block(place);
  if (warp_index() == 0) return value;
  T before = scratch.values[0];
  for (int warp = 1; warp < warp_index(); ++warp) before = combine(before, scratch.values[warp]);
  return combine(before, value);
}

}  // namespace SCRAWL_CUDA
