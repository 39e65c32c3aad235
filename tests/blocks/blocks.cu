#include "tests/blocks/blocks.h"

#include "kernels/cuda/device/flag.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/mma.h"
#include "kernels/cuda/device/pipeline.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/vector.h"
#include "kernels/random.h"

namespace SCRAWL_CUDA {

namespace {

using test::copied_vectors, test::copy_groups, test::Planted, test::tile, test::together_blocks,
    test::together_steps, test::together_threads;

struct Plus {
  SCRAWL_DEVICE int operator()(int a, int b) const { return a + b; }
};

SCRAWL_KERNEL void places(int* y) {
  const auto block = block_index(), grid = grid_size();
  const auto number = (block.z * grid.y + block.y) * grid.x + block.x;
  int* const own = y + (static_cast<int>(number) * block_size() + thread_index()) * 8;
  own[0] = static_cast<int>(block.x);
  own[1] = static_cast<int>(block.y);
  own[2] = static_cast<int>(block.z);
  own[3] = thread_index();
  own[4] = lane_index();
  own[5] = warp_index();
  own[6] = block_size();
  own[7] = static_cast<int>(grid.x);
}

SCRAWL_KERNEL void reduce_and_scan_warp(const int* x, int* sum, int* running) {
  const int own = x[lane_index()];
  sum[lane_index()] = reduce_warp(own, Plus{});
  running[lane_index()] = scan_warp(own, Plus{});
}

struct TwoScratches {
  PerWarp<int> sum, running;
};

SCRAWL_KERNEL void reduce_and_scan_block(const int* x, int* sum, int* running) {
  auto& scratch = shared_memory<TwoScratches>();
  const int own = x[thread_index()];
  sum[thread_index()] = reduce_block(own, Plus{}, scratch.sum);
  running[thread_index()] = scan_block(own, Plus{}, scratch.running);
}

SCRAWL_KERNEL void shuffle_all(const float* x, float* y) {
  const int lane = lane_index();
  const float own = x[lane];
  y[lane] = shuffle(own, 5);
  y[warp_size + lane] = shuffle_xor(own, 3);
  y[2 * warp_size + lane] = shuffle_up(own, 2);
  y[3 * warp_size + lane] = shuffle_down(own, 7);
}

SCRAWL_KERNEL void ballot_odd(const int* x, std::uint32_t* y) {
  y[lane_index()] = ballot(x[lane_index()] % 2 != 0);
}

struct Halves {
  int values[2][32];
};

SCRAWL_KERNEL void turn_halves(const int* x, int* y) {
  auto& halves = shared_memory<Halves>();
  const int half = warp_index(), lane = lane_index();
  halves.values[half][lane] = x[thread_index()];
  sync_warps(1 + half, warp_size);
  y[thread_index()] = halves.values[half][warp_size - 1 - lane];
}

template <int kBytes>
SCRAWL_DEVICE void copy_quarter(const std::byte* x, std::byte* y) {
  constexpr int quarter = copied_vectors * 16;
  for (int i = thread_index() * kBytes; i < quarter; i += copied_vectors * kBytes)
    store_vector(y + i, load_vector<kBytes>(x + i));
}

SCRAWL_KERNEL void copy_vectors(const std::byte* x, std::byte* y) {
  constexpr int quarter = copied_vectors * 16;
  copy_quarter<2>(x, y);
  copy_quarter<4>(x + quarter, y + quarter);
  copy_quarter<8>(x + 2 * quarter, y + 2 * quarter);
  copy_quarter<16>(x + 3 * quarter, y + 3 * quarter);
}

struct Ring {
  static constexpr int stages = 3;
  alignas(16) std::byte stages_of[stages][copied_vectors * 16];
};

/// Each lane reads what its neighbour fetched.
template <int kBytes>
SCRAWL_KERNEL void copy_through(const std::byte* x, std::byte* y, int from_global) {
  auto& ring = shared_memory<Ring>();
  constexpr int group = copied_vectors * kBytes, ahead = Ring::stages - 1;
  const auto fetch = [&](int i) {
    if (i < copy_groups)
      copy_to_shared<kBytes>(&ring.stages_of[i % Ring::stages][thread_index() * kBytes],
                             x + i * group + thread_index() * kBytes, from_global);
    commit_copies();
  };
  for (int i = 0; i < ahead; ++i) fetch(i);
  for (int i = 0; i < copy_groups; ++i) {
    wait_copies<ahead - 1>();
    sync_block();
    fetch(i + ahead);
    const int neighbour = (thread_index() + 1) % copied_vectors * kBytes;
    store_vector(y + i * group + neighbour,
                 load_vector<kBytes>(&ring.stages_of[i % Ring::stages][neighbour]));
  }
}

struct SharedTile {
  alignas(16) std::uint16_t values[tile][tile];
};

template <int kMatrices, bool kTransposed>
SCRAWL_KERNEL void load_tile(const std::uint16_t* x, std::uint32_t* y) {
  auto& shared = shared_memory<SharedTile>();
  for (int i = lane_index(); i < tile * tile; i += warp_size) shared.values[i / tile][i % tile] = x[i];
  sync_warp();
  const int matrix = lane_index() / 8, row = lane_index() % 8;
  const auto words =
      load_matrices<kMatrices, kTransposed>(&shared.values[matrix % 2 * 8 + row][matrix / 2 * 8]);
  for (int i = 0; i < kMatrices; ++i) y[i * warp_size + lane_index()] = words.w[i];
}

SCRAWL_KERNEL void add_neighbours(const std::uint32_t* x, std::uint32_t* y, std::uint32_t* state,
                                  std::uint32_t* flags) {
  constexpr int values = together_blocks * together_threads;
  const int block = static_cast<int>(block_index().x), own = block * together_threads + thread_index();
  const int neighbour =
      (block + 1) % together_blocks * together_threads + (thread_index() + 1) % together_threads;
  auto value = x[own];
  for (unsigned step = 1; step <= together_steps; ++step) {
    auto* const now = state + step % 2 * values;
    now[own] = value;
    sync_block();
    if (thread_index() == 0) raise_flag(flags + block, step);
    if (thread_index() < together_blocks) wait_flag(flags + thread_index(), step);
    sync_block();
    value += now[neighbour];
  }
  y[own] = value;
}

/// Fragments by the maps of mma.h.
template <class T>
SCRAWL_KERNEL void multiply(const T* a, const T* b, const float* c, float* y) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  const auto word = [](T low, T high) {
    return static_cast<std::uint32_t>(low.bits) | static_cast<std::uint32_t>(high.bits) << 16;
  };
  const auto pair_a = [&](int row, int k) { return word(a[row * tile + k], a[row * tile + k + 1]); };
  const auto pair_b = [&](int k) { return word(b[k * 8 + g], b[(k + 1) * 8 + g]); };
  Accumulator sums{
      {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1], c[(g + 8) * 8 + 2 * t], c[(g + 8) * 8 + 2 * t + 1]}};
  multiply_add<T>(sums,
                  {{pair_a(g, 2 * t), pair_a(g + 8, 2 * t), pair_a(g, 2 * t + 8), pair_a(g + 8, 2 * t + 8)}},
                  {{pair_b(2 * t), pair_b(2 * t + 8)}});
  for (int i = 0; i < 4; ++i) y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums.f[i];
}

SCRAWL_DEVICE std::uint32_t bits_of(float x) {
#ifdef __CUDACC__
  return __float_as_uint(x);
#else
  return std::bit_cast<std::uint32_t>(x);
#endif
}

SCRAWL_KERNEL void multiply_tf32(const float* a, const float* b, const float* c, float* y) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  const auto at_a = [&](int row, int k) { return bits_of(to_tf32(a[row * 8 + k])); };
  const auto at_b = [&](int k) { return bits_of(to_tf32(b[k * 8 + g])); };
  Accumulator sums{
      {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1], c[(g + 8) * 8 + 2 * t], c[(g + 8) * 8 + 2 * t + 1]}};
  multiply_add<tf32>(sums, {{at_a(g, t), at_a(g + 8, t), at_a(g, t + 4), at_a(g + 8, t + 4)}},
                     {{at_b(t), at_b(t + 4)}});
  for (int i = 0; i < 4; ++i) y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums.f[i];
}

SCRAWL_KERNEL void draw(std::uint32_t* bits, float* uniform) {
  const auto i = static_cast<std::uint32_t>(thread_index());
  const auto words = philox({i, 1, 2, 3}, {4, 5});
  for (int j = 0; j < 4; ++j) bits[thread_index() * 4 + j] = words[static_cast<std::size_t>(j)];
  uniform[thread_index()] = uniform01(words[0]);
}

template <class T>
SCRAWL_DEVICE T from_bits(std::uint16_t bits) {
  T x;
  x.bits = bits;
  return x;
}

SCRAWL_KERNEL void widen(const std::uint16_t* x, float* from_bf16, float* from_f16, int count) {
  const int i = static_cast<int>(block_index().x) * block_size() + thread_index();
  if (i >= count) return;
  from_bf16[i] = to_float(from_bits<bf16>(x[i]));
  from_f16[i] = to_float(from_bits<f16>(x[i]));
}

SCRAWL_KERNEL void narrow(const float* x, std::uint16_t* to_bf16, std::uint16_t* to_f16, float* rounded,
                          int count) {
  const int i = static_cast<int>(block_index().x) * block_size() + thread_index();
  if (i >= count) return;
  to_bf16[i] = from_float<bf16>(x[i]).bits;
  to_f16[i] = from_float<f16>(x[i]).bits;
  rounded[i] = to_tf32(x[i]);
}

SCRAWL_KERNEL void write_beyond(const int* x, int* y) { y[thread_index() + 1] = x[thread_index()]; }

/// Each half reads what the other writes, and nothing orders the two.
SCRAWL_KERNEL void race(const int* x, int* y) {
  auto& halves = shared_memory<Halves>();
  const int half = warp_index(), lane = lane_index();
  halves.values[half][lane] = 0;
  sync_block();
  halves.values[half][lane] = x[thread_index()];
  y[thread_index()] = halves.values[1 - half][lane];
}

/// The lanes that go by leave, so that a GPU goes on all the same.
SCRAWL_KERNEL void diverge(const int* x, int* y) {
  y[thread_index()] = x[thread_index()];
  if (lane_index() >= warp_size / 2) return;
  sync_block();
  y[thread_index()] += 1;
}

SCRAWL_KERNEL void read_unwritten(const int* x, int* y) { y[thread_index()] += x[thread_index()]; }

template <int kMatrices>
void launch_load(const std::uint16_t* x, std::uint32_t* y, bool transposed, Stream s) {
  launch({.kernel = "load_tile",
          .blocks = {1},
          .threads = warp_size,
          .shared_bytes = sizeof(SharedTile),
          .stream = s},
         transposed ? load_tile<kMatrices, true> : load_tile<kMatrices, false>, x, y);
}

}  // namespace

const test::Blocks& blocks() {
  static const test::Blocks table{
      .places =
          [](int* y, Stream s) {
            launch({.kernel = "places", .blocks = {3, 2}, .threads = 64, .stream = s}, places, y);
          },
      .reduce_and_scan_warp =
          [](const int* x, int* sum, int* running, Stream s) {
            launch({.kernel = "reduce_and_scan_warp", .blocks = {1}, .threads = warp_size, .stream = s},
                   reduce_and_scan_warp, x, sum, running);
          },
      .reduce_and_scan_block =
          [](const int* x, int* sum, int* running, int threads, Stream s) {
            launch({.kernel = "reduce_and_scan_block",
                    .blocks = {1},
                    .threads = threads,
                    .shared_bytes = sizeof(TwoScratches),
                    .stream = s},
                   reduce_and_scan_block, x, sum, running);
          },
      .shuffle =
          [](const float* x, float* y, Stream s) {
            launch({.kernel = "shuffle", .blocks = {1}, .threads = warp_size, .stream = s}, shuffle_all, x,
                   y);
          },
      .ballot =
          [](const int* x, std::uint32_t* y, Stream s) {
            launch({.kernel = "ballot", .blocks = {1}, .threads = warp_size, .stream = s}, ballot_odd, x, y);
          },
      .turn_halves =
          [](const int* x, int* y, Stream s) {
            launch({.kernel = "turn_halves",
                    .blocks = {1},
                    .threads = 64,
                    .shared_bytes = sizeof(Halves),
                    .stream = s},
                   turn_halves, x, y);
          },
      .copy_vectors =
          [](const std::byte* x, std::byte* y, Stream s) {
            launch({.kernel = "copy_vectors", .blocks = {1}, .threads = copied_vectors, .stream = s},
                   copy_vectors, x, y);
          },
      .copy_async =
          [](const std::byte* x, std::byte* y, int bytes, int from_global, Stream s) {
            launch({.kernel = "copy_through",
                    .blocks = {1},
                    .threads = copied_vectors,
                    .shared_bytes = sizeof(Ring),
                    .stream = s},
                   bytes == 4   ? copy_through<4>
                   : bytes == 8 ? copy_through<8>
                                : copy_through<16>,
                   x, y, from_global);
          },
      .load_matrices =
          [](const std::uint16_t* x, std::uint32_t* y, int matrices, bool transposed, Stream s) {
            if (matrices == 1) return launch_load<1>(x, y, transposed, s);
            if (matrices == 2) return launch_load<2>(x, y, transposed, s);
            launch_load<4>(x, y, transposed, s);
          },
      .add_neighbours =
          [](const std::uint32_t* x, std::uint32_t* y, std::uint32_t* state, std::uint32_t* flags, Stream s) {
            launch({.kernel = "add_neighbours",
                    .blocks = {together_blocks},
                    .threads = together_threads,
                    .residency = Residency::together,
                    .stream = s},
                   add_neighbours, x, y, state, flags);
          },
      .multiply_f16 =
          [](const f16* a, const f16* b, const float* c, float* y, Stream s) {
            launch({.kernel = "multiply", .blocks = {1}, .threads = warp_size, .stream = s}, multiply<f16>, a,
                   b, c, y);
          },
      .multiply_bf16 =
          [](const bf16* a, const bf16* b, const float* c, float* y, Stream s) {
            launch({.kernel = "multiply", .blocks = {1}, .threads = warp_size, .stream = s}, multiply<bf16>,
                   a, b, c, y);
          },
      .multiply_tf32 =
          [](const float* a, const float* b, const float* c, float* y, Stream s) {
            launch({.kernel = "multiply_tf32", .blocks = {1}, .threads = warp_size, .stream = s},
                   multiply_tf32, a, b, c, y);
          },
      .random =
          [](std::uint32_t* bits, float* uniform, Stream s) {
            launch({.kernel = "random", .blocks = {1}, .threads = 256, .stream = s}, draw, bits, uniform);
          },
      .widen =
          [](const std::uint16_t* x, float* from_bf16, float* from_f16, int count, Stream s) {
            launch({.kernel = "widen", .blocks = {blocks_for(count, 256)}, .threads = 256, .stream = s},
                   widen, x, from_bf16, from_f16, count);
          },
      .narrow =
          [](const float* x, std::uint16_t* to_bf16, std::uint16_t* to_f16, float* rounded, int count,
             Stream s) {
            launch({.kernel = "narrow", .blocks = {blocks_for(count, 256)}, .threads = 256, .stream = s},
                   narrow, x, to_bf16, to_f16, rounded, count);
          },
      .plant =
          [](Planted fault, const int* x, int* y, Stream s) {
            launch({.kernel = "plant",
                    .blocks = {1},
                    .threads = 64,
                    .shared_bytes = sizeof(Halves),
                    .stream = s},
                   fault == Planted::write_beyond        ? write_beyond
                   : fault == Planted::race              ? race
                   : fault == Planted::divergent_barrier ? diverge
                                                         : read_unwritten,
                   x, y);
          },
  };
  return table;
}

}  // namespace SCRAWL_CUDA
