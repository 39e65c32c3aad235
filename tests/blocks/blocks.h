#pragma once
/// A kernel for each building block of kernels/cuda/device, so that each can be compared with plain C++, on
/// simt and on GPUs. Pointers are of the device; sizes are what the tests below use.

#include <array>
#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/view.h"

namespace scrawl::test {

inline constexpr int shuffles = 4;         ///< to lane 5, xor 3, up 2, down 7
inline constexpr int tile = 16;            ///< rows and columns of a tile of 16 bits
inline constexpr int copied_vectors = 64;  ///< one a lane
inline constexpr int copy_groups = 6;
inline constexpr int together_blocks = 8, together_threads = 64, together_steps = 20;

/// What a checker of kernels must report.
enum class Planted : std::uint8_t { write_beyond, race, divergent_barrier, unwritten_read };

struct Blocks {
  /// (block x, y, z, thread, lane, warp, block size, grid x) of each thread of 6 blocks (3, 2, 1) of 64.
  void (*places)(int* y, Stream);
  /// Of each lane's x, one warp.
  void (*reduce_and_scan_warp)(const int* x, int* sum, int* running, Stream);
  void (*reduce_and_scan_block)(const int* x, int* sum, int* running, int threads, Stream);
  void (*shuffle)(const float* x, float* y, Stream);  ///< x (32), y (shuffles, 32)
  void (*ballot)(const int* x, std::uint32_t* y, Stream);
  /// Two halves of 64 lanes: each turns its own part round, by a barrier of its own.
  void (*turn_halves)(const int* x, int* y, Stream);
  /// Copies through registers, by vectors of 2, 4, 8 and 16 bytes: each a quarter of 4 x 64 x 16 bytes.
  void (*copy_vectors)(const std::byte* x, std::byte* y, Stream);
  /// Copies through shared memory, kept in groups: 64 lanes x (4, 8 or 16 bytes) x copy_groups, of which the
  /// first from_global are read.
  void (*copy_async)(const std::byte* x, std::byte* y, int bytes, int from_global, Stream);
  /// x (16, 16) elements of 16 bits; y (matrices, 32) words.
  void (*load_matrices)(const std::uint16_t* x, std::uint32_t* y, int matrices, bool transposed, Stream);
  /// Blocks together, together_steps times: each value of x (together_blocks, together_threads) becomes the
  /// sum of itself and the next lane's of the next block. state (2, as x); flags (together_blocks), zero
  /// before.
  void (*add_neighbours)(const std::uint32_t* x, std::uint32_t* y, std::uint32_t* state, std::uint32_t* flags,
                         Stream);
  /// y (16, 8) = a (16, depth) b (depth, 8) + c (16, 8); depth 16, or 8 for tf32, whose operands are f32.
  void (*multiply_f16)(const f16* a, const f16* b, const float* c, float* y, Stream);
  void (*multiply_bf16)(const bf16* a, const bf16* b, const float* c, float* y, Stream);
  void (*multiply_tf32)(const float* a, const float* b, const float* c, float* y, Stream);
  /// philox({i, 1, 2, 3}, {4, 5}) of each i < 256, its first word as uniform01.
  void (*random)(std::uint32_t* bits, float* uniform, Stream);
  /// Of each x (count): to_float of it as bf16 and f16 bits.
  void (*widen)(const std::uint16_t* x, float* from_bf16, float* from_f16, int count, Stream);
  void (*narrow)(const float* x, std::uint16_t* to_bf16, std::uint16_t* to_f16, float* to_tf32, int count,
                 Stream);
  /// A kernel of 64 lanes with a fault. x, y (64).
  void (*plant)(Planted, const int* x, int* y, Stream);
};

}  // namespace scrawl::test

namespace scrawl::simt {
const test::Blocks& blocks();
}
namespace scrawl::cuda {
const test::Blocks& blocks();
}
