#pragma once
/// Where tensors lie in the arena of a device: offsets from lifetimes, so that a step allocates nothing.

#include <cstddef>
#include <vector>

namespace scrawl {

/// A block of memory that is needed from step `first` to step `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  int first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  ///< one a lifetime, multiples of `alignment`
  std::size_t arena_bytes = 0;
  std::size_t least_bytes = 0;  ///< the most that is alive at one time: no plan can be smaller
};

inline constexpr std::size_t arena_alignment = 128;

/// Largest first, each at the lowest offset that is free for its whole life (greedy by size; Pisarchyk &
/// Lee, "Efficient memory management for deep neural net inference", 2020). Zero-sized lifetimes lie at 0.
MemoryPlan plan_memory(const std::vector<Lifetime>&);

}  // namespace scrawl
