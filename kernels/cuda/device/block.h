#pragma once
/// Where a lane is, and what the lanes of a block have in common.

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

inline constexpr int warp_size = 32;

/// Of the lane in its block; blocks have one axis of lanes.
SCRAWL_DEVICE int thread_index() {
#ifdef __CUDACC__
  return static_cast<int>(threadIdx.x);
#else
  return thread_of_lane();
#endif
}

/// Lanes of the block.
SCRAWL_DEVICE int block_size() {
#ifdef __CUDACC__
  return static_cast<int>(blockDim.x);
#else
  return threads_of_block();
#endif
}

SCRAWL_DEVICE int lane_index() { return thread_index() % warp_size; }
SCRAWL_DEVICE int warp_index() { return thread_index() / warp_size; }

#ifdef __CUDACC__
using Dim = dim3;
#endif

/// Of the block in its grid.
SCRAWL_DEVICE Dim block_index() {
#ifdef __CUDACC__
  return {blockIdx.x, blockIdx.y, blockIdx.z};
#else
  return block_of_lane();
#endif
}

/// Blocks of the grid.
SCRAWL_DEVICE Dim grid_size() {
#ifdef __CUDACC__
  return {gridDim.x, gridDim.y, gridDim.z};
#else
  return blocks_of_grid();
#endif
}

/// The block's shared memory as one struct. The launch says how many bytes it has. Undefined at the start.
template <class T>
SCRAWL_DEVICE T& shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(128) unsigned char shared_bytes[];
  return *reinterpret_cast<T*>(shared_bytes);
#else
  return *reinterpret_cast<T*>(shared_of_block());
#endif
}

/// Waits for all lanes of the block; what any of them wrote before, all see after. All must come to the same
/// place, and none may have returned: stricter than CUDA, where lanes that returned do not count.
SCRAWL_DEVICE void sync_block([[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  __syncthreads();
#else
  sync(place.site("sync_block"));
#endif
}

/// Waits until `threads` lanes have come to this barrier: a whole number of warps, those that share its
/// number (1 to 15). What they wrote before, all of them see after.
SCRAWL_DEVICE void sync_warps(int barrier, int threads, [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
#else
  sync_named(barrier, threads, place.site("sync_warps"));
#endif
}

}  // namespace SCRAWL_CUDA
