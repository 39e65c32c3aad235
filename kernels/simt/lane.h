#pragma once
/// What the building blocks of kernels/cuda/device call: the lane that the calling thread runs. Defined out
/// of line, where no access is looked at.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/simt/report.h"

namespace scrawl::simt {

inline constexpr int warp_lanes = 32;

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

/// A meeting of the lanes of a warp: the last that comes works on everybody's slot, then all go on.
struct Meeting {
  /// Shuffles and votes order no memory (CUDA C++ Programming Guide): only sync_warp does.
  enum class Orders : std::uint8_t { nothing, memory };

  Site site;
  std::uint32_t mask;
  void* slot;
  void (*work)(const std::array<void*, warp_lanes>& slots, std::uint32_t mask);
  Orders orders = Orders::nothing;
};

int thread_of_lane();  ///< in its block
int threads_of_block();
Dim block_of_lane();
Dim blocks_of_grid();
std::byte* shared_of_block();
void sync(const Site&);
void sync_named(int barrier, int threads, const Site&);
void meet(const Meeting&);

/// Between the blocks of a launch together: kernels/cuda/device/flag.h.
void raise_flag(std::uint32_t* flag, std::uint32_t value, const Site&);
void wait_flag(const std::uint32_t* flag, std::uint32_t value, const Site&);

/// A building block's own access: judged like those of kernels, and aligned to all of its size.
void load(void* to, const void* from, std::size_t bytes);
void store(void* to, const void* from, std::size_t bytes);

/// cp.async. `shared` is undefined from the call to the wait; the bytes move at some moment between the two.
/// Of `bytes`, the first `from_global` are read, the rest become zero.
void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t from_global, const Site&);
void commit_copies(const Site&);
void wait_copies(int groups_left, const Site&);

/// Fails the lane unless these bytes lie in the block's shared memory.
void require_shared(const void*, std::size_t bytes, const Site&);

/// Notes that a lane came to a building block that is none of those above.
void visit(const Site&);

/// Whether a building block is to read its neighbour instead: a mutant.
bool is_shifted(const Site&);

/// Ends the block with a report.
[[noreturn]] void fail_lane(Fault, const std::string& what);

}  // namespace scrawl::simt
