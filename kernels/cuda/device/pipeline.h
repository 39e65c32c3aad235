#pragma once
/// Copies from global to shared memory that run while the lane goes on (cp.async, sm_80).
///
/// A lane's copies fall into groups: commit_copies ends one. wait_copies waits for all but the last few
/// groups of its own lane; other lanes may read what was copied after a sync_block that follows. Until then
/// the bytes are undefined, and those that they replace are gone.

#include "kernels/cuda/device/block.h"

namespace SCRAWL_CUDA {

/// Copies kBytes (4, 8 or 16), of which the first `from_global` are read and the rest are zero. Both
/// addresses are multiples of kBytes.
template <int kBytes>
SCRAWL_DEVICE void copy_to_shared(void* shared, const void* global, int from_global = kBytes,
                                  [[maybe_unused]] Place place = Place::here()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#ifdef __CUDACC__
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16)  // past the first-level cache
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(from_global)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(kBytes),
                 "r"(from_global)
                 : "memory");
#else
  const auto site = place.site("copy_to_shared");
  const auto* const from = static_cast<const std::byte*>(global) + (is_shifted(site) ? kBytes : 0);
  copy_async(shared, from, kBytes, static_cast<std::size_t>(from_global), site);
#endif
}

SCRAWL_DEVICE void commit_copies([[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  commit_copies(place.site("commit_copies"));
#endif
}

/// Waits until at most kGroupsLeft groups of the lane are on their way.
template <int kGroupsLeft>
SCRAWL_DEVICE void wait_copies([[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#else
  wait_copies(kGroupsLeft, place.site("wait_copies"));
#endif
}

}  // namespace SCRAWL_CUDA
