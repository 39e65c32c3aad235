#pragma once
/// How blocks of one launch hand data to each other through global memory: whoever wrote it raises a flag,
/// whoever reads it waits for the flag. The launch must be together (Launch::residency).
///
///   store(h, ...); sync_block();                                   // all lanes of the block have written
///   if (thread_index() == 0) raise_flag(&flags[own], step + 1);
///   if (thread_index() < blocks) wait_flag(&flags[thread_index()], step + 1);
///   sync_block(); load(h, ...);                                    // what any block wrote in this step
///
/// A flag belongs to one lane, or to lanes that barriers order: each raise is to a higher value, and a wait
/// for any value orders no more than the first raise that reached it. Flags are defined before the launch,
/// and read by wait_flag alone. What is exchanged may not be read through __restrict__ pointers to const,
/// which promise that nobody writes it.

#include <cstdint>

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

/// What this lane wrote, and what barriers have ordered before, is seen by every lane that waits for `value`.
SCRAWL_DEVICE void raise_flag(std::uint32_t* flag, std::uint32_t value,
                              [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  // A release is cumulative (PTX ISA, causality order): no fence is needed for other lanes' writes.
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(flag)), "r"(value)
               : "memory");
#else
  const auto site = place.site("raise_flag");
  raise_flag(flag + (is_shifted(site) ? 1 : 0), value, site);
#endif
}

/// Waits until the flag is at least `value`.
SCRAWL_DEVICE void wait_flag(const std::uint32_t* flag, std::uint32_t value,
                             [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  std::uint32_t now;
  do {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];"
                 : "=r"(now)
                 : "l"(__cvta_generic_to_global(flag))
                 : "memory");
  } while (now < value);
  // A load that acquires throws away what the L1 holds: one does, behind all others, and sees this raise or a
  // later one. fence.acq_rel would wait for the lane's own writes, too (sm_80, sm_90a: MEMBAR.ALL.GPU).
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
               : "=r"(now)
               : "l"(__cvta_generic_to_global(flag))
               : "memory");
#else
  const auto site = place.site("wait_flag");
  wait_flag(flag + (is_shifted(site) ? 1 : 0), value, site);
#endif
}

}  // namespace SCRAWL_CUDA
