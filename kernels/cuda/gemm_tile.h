#pragma once
/// A block's part of a product, op(a) op(b), for a tile of the result: operands pass through shared memory in
/// a ring of stages that cp.async fills ahead, and from there to tensor cores or to plain multiply-adds.

#include "kernels/cuda/device/convert.h"
#include "kernels/cuda/device/mma.h"
#include "kernels/cuda/device/pipeline.h"
#include "kernels/cuda/device/vector.h"

namespace SCRAWL_CUDA {

/// Of the result: what a block computes, and how its warps share it.
struct SmallTile {
  static constexpr int m = 64, n = 64, warps_m = 2, warps_n = 2, stages = 4;
};
struct LargeTile {
  static constexpr int m = 128, n = 128, warps_m = 2, warps_n = 4, stages = 3;
};
template <class Tile>
inline constexpr int threads_of = warp_size* Tile::warps_m* Tile::warps_n;

/// Elements of the summed axis in a stage: 64 bytes.
template <class T>
inline constexpr int stage_depth = 64 / static_cast<int>(sizeof(T));

/// An operand in global memory: stored rows x columns, rows `stride` elements apart.
template <class T>
struct Matrix {
  const T* data;
  std::int64_t stride;
  bool in_vectors;  ///< whether rows start where vectors of 16 bytes may
};

/// Which axis of an operand lies contiguous in memory: that of the result, or the one that is summed.
enum class Contiguous : std::uint8_t { extent, depth };

/// A stage of one operand: kExtent along the result's axis, stage_depth along the summed one, as it is
/// stored. Rows are padded so that no two of a fragment's lanes meet in a bank.
template <class T, int kExtent, Contiguous kContiguous>
struct OperandStage {
  static constexpr bool by_depth = kContiguous == Contiguous::depth;
  static constexpr int rows = by_depth ? kExtent : stage_depth<T>,
                       columns = by_depth ? stage_depth<T> : kExtent,
                       padding = (sizeof(T) == 4 && !by_depth ? 32 : 16) / static_cast<int>(sizeof(T)),
                       stride = columns + padding;
  alignas(16) T values[rows * stride];

  SCRAWL_DEVICE T& at(int extent, int depth) {
    return by_depth ? values[extent * stride + depth] : values[depth * stride + extent];
  }

  /// Begins to fetch from (extent, depth) on; what lies at `extents` and `depths` or beyond is 0.
  template <int kThreads>
  SCRAWL_DEVICE void fetch(const Matrix<T>& x, int extent, int depth, int extents, int depths) {
    const int first_row = by_depth ? extent : depth, first_column = by_depth ? depth : extent,
              end_row = by_depth ? extents : depths, end_column = by_depth ? depths : extents;
    if (x.in_vectors) {
      constexpr int vector = full_vector<T>, in_row = columns / vector;
      static_assert(rows * in_row % kThreads == 0);
#pragma unroll
      for (int i = 0; i < rows * in_row / kThreads; ++i) {
        const int chunk = i * kThreads + thread_index(), row = chunk / in_row,
                  column = chunk % in_row * vector;
        const int left = first_row + row < end_row ? end_column - first_column - column : 0,
                  count = left < 0        ? 0
                          : left < vector ? left
                                          : vector;
        const T* const from = x.data + (first_row + row) * x.stride + first_column + column;
        copy_to_shared<16>(&values[row * stride + column], count > 0 ? from : x.data,
                           count * static_cast<int>(sizeof(T)));
      }
    } else {
      for (int i = thread_index(); i < rows * columns; i += kThreads) {
        const int row = i / columns, column = i % columns;
        const bool is_inside = first_row + row < end_row && first_column + column < end_column;
        values[row * stride + column] =
            is_inside ? x.data[(first_row + row) * x.stride + first_column + column] : T{};
      }
    }
  }

  /// Of 16 bits: rows extent .. extent + 15 of a, depth .. depth + 15.
  SCRAWL_DEVICE Words<4> fragment_a(int extent, int depth) {
    const int part = lane_index() / 8, row = lane_index() % 8;
    if constexpr (by_depth)
      return load_matrices<4, false>(&at(extent + part % 2 * 8 + row, depth + part / 2 * 8));
    else
      return load_matrices<4, true>(&at(extent + part % 2 * 8, depth + part / 2 * 8 + row));
  }

  /// Of 16 bits: two fragments of b, columns extent .. extent + 7 and the 8 behind.
  SCRAWL_DEVICE Words<4> fragments_b(int extent, int depth) {
    const int part = lane_index() / 8, row = lane_index() % 8;
    if constexpr (by_depth)
      return load_matrices<4, false>(&at(extent + part / 2 * 8 + row, depth + part % 2 * 8));
    else
      return load_matrices<4, true>(&at(extent + part / 2 * 8, depth + part % 2 * 8 + row));
  }

  SCRAWL_DEVICE std::uint32_t tf32_word(int extent, int depth) {
    const float x = to_tf32(at(extent, depth));
#ifdef __CUDACC__
    return __float_as_uint(x);
#else
    return std::bit_cast<std::uint32_t>(x);
#endif
  }
};

/// Sums on their way from registers to memory, so that whole rows are written.
template <class Tile>
struct ResultTile {
  static constexpr int stride = Tile::n + 8;  // pairs of a fragment's lanes meet in no bank
  alignas(16) float values[Tile::m * stride];

  SCRAWL_DEVICE float& at(int row, int column) { return values[row * stride + column]; }
};

/// Sums on tensor cores. T: bf16, f16, or tf32, whose operands are f32.
template <class T, class Tile>
struct TensorSums {
  static constexpr int warp_m = Tile::m / Tile::warps_m, warp_n = Tile::n / Tile::warps_n,
                       tiles_m = warp_m / 16, tiles_n = warp_n / 8;
  Accumulator sums[tiles_m][tiles_n];

  SCRAWL_DEVICE static int first_m() { return warp_index() / Tile::warps_n * warp_m; }
  SCRAWL_DEVICE static int first_n() { return warp_index() % Tile::warps_n * warp_n; }

  template <class A, class B>
  SCRAWL_DEVICE void add(A& a, B& b) {
    constexpr int depth = 64 / (std::is_same_v<T, tf32> ? 4 : 2);
#pragma unroll
    for (int k = 0; k < depth; k += mma_depth<T>) {
      Words<4> left[tiles_m];
      Words<2> right[tiles_n];
#pragma unroll
      for (int i = 0; i < tiles_m; ++i) left[i] = words_a(a, first_m() + 16 * i, k);
#pragma unroll
      for (int j = 0; j < tiles_n; j += 2) words_b(b, first_n() + 8 * j, k, right[j], right[j + 1]);
#pragma unroll
      for (int i = 0; i < tiles_m; ++i)
#pragma unroll
        for (int j = 0; j < tiles_n; ++j) multiply_add<T>(sums[i][j], left[i], right[j]);
    }
  }

  SCRAWL_DEVICE void store(ResultTile<Tile>& result) const {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int i = 0; i < tiles_m; ++i)
#pragma unroll
      for (int j = 0; j < tiles_n; ++j) {
        const auto& f = sums[i][j].f;
        const int row = first_m() + 16 * i + g, column = first_n() + 8 * j + 2 * t;
        store_vector(&result.at(row, column), Vector<float, 2>{{f[0], f[1]}});
        store_vector(&result.at(row + 8, column), Vector<float, 2>{{f[2], f[3]}});
      }
  }

 private:
  template <class A>
  SCRAWL_DEVICE static Words<4> words_a(A& a, int m, int k) {
    if constexpr (std::is_same_v<T, tf32>) {
      const int g = lane_index() / 4, t = lane_index() % 4;
      return {{a.tf32_word(m + g, k + t), a.tf32_word(m + g + 8, k + t), a.tf32_word(m + g, k + t + 4),
               a.tf32_word(m + g + 8, k + t + 4)}};
    } else {
      return a.fragment_a(m, k);
    }
  }
  template <class B>
  SCRAWL_DEVICE static void words_b(B& b, int n, int k, Words<2>& first, Words<2>& second) {
    if constexpr (std::is_same_v<T, tf32>) {
      const int g = lane_index() / 4, t = lane_index() % 4;
      first = {{b.tf32_word(n + g, k + t), b.tf32_word(n + g, k + t + 4)}};
      second = {{b.tf32_word(n + 8 + g, k + t), b.tf32_word(n + 8 + g, k + t + 4)}};
    } else {
      const auto both = b.fragments_b(n, k);
      first = {{both.w[0], both.w[1]}};
      second = {{both.w[2], both.w[3]}};
    }
  }
};

/// Sums of f32 in f32: a lane has every eighth row and every sixteenth pair of columns of a SmallTile.
struct ExactSums {
  using Tile = SmallTile;
  static constexpr int down = 8, across = 16, rows = Tile::m / down, pairs = Tile::n / across / 2;
  float sums[rows][pairs][2] = {};

  template <class A, class B>
  SCRAWL_DEVICE void add(A& a, B& b) {
    const int row = thread_index() / across, column = thread_index() % across * 2;
#pragma unroll 4
    for (int k = 0; k < stage_depth<float>; ++k) {
      float left[rows], right[pairs][2];
#pragma unroll
      for (int i = 0; i < rows; ++i) left[i] = a.at(row + down * i, k);
#pragma unroll
      for (int j = 0; j < pairs; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half) right[j][half] = b.at(column + 2 * across * j + half, k);
#pragma unroll
      for (int i = 0; i < rows; ++i)
#pragma unroll
        for (int j = 0; j < pairs; ++j)
#pragma unroll
          for (int half = 0; half < 2; ++half)
            sums[i][j][half] = fmaf(left[i], right[j][half], sums[i][j][half]);
    }
  }

  SCRAWL_DEVICE void store(ResultTile<Tile>& result) const {
    const int row = thread_index() / across, column = thread_index() % across * 2;
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < pairs; ++j)
        store_vector(&result.at(row + down * i, column + 2 * across * j),
                     Vector<float, 2>{{sums[i][j][0], sums[i][j][1]}});
  }
};

/// A block's shared memory: a ring of stages, then the result.
template <class T, class Tile, Contiguous kA, Contiguous kB>
union GemmMemory {
  struct Stage {
    OperandStage<T, Tile::m, kA> a;
    OperandStage<T, Tile::n, kB> b;
  } stages[Tile::stages];
  ResultTile<Tile> result;

  /// Adds op(a) op(b) over depths [begin, end) to `sums`, for the tile at (m, n). All lanes of the block
  /// call.
  template <class Sums>
  SCRAWL_DEVICE void add_product(Sums& sums, const Matrix<T>& a, const Matrix<T>& b, int m, int n, int rows,
                                 int columns, int begin, int end) {
    constexpr int ahead = Tile::stages - 1, depth = stage_depth<T>;
    const int steps = (end - begin + depth - 1) / depth;
    const auto fetch = [&](int step) {
      if (step < steps) {
        auto& stage = stages[step % Tile::stages];
        stage.a.template fetch<threads_of<Tile>>(a, m, begin + step * depth, rows, end);
        stage.b.template fetch<threads_of<Tile>>(b, n, begin + step * depth, columns, end);
      }
      commit_copies();  // an empty group too: waits count groups
    };
    for (int step = 0; step < ahead; ++step) fetch(step);
    for (int step = 0; step < steps; ++step) {
      wait_copies<ahead - 1>();
      sync_block();  // the stage is there for all, and nobody reads the one before any more
      fetch(step + ahead);
      auto& stage = stages[step % Tile::stages];
      sums.add(stage.a, stage.b);
    }
  }

  /// Leaves `sums` in `result`, where all lanes see them.
  template <class Sums>
  SCRAWL_DEVICE void gather(const Sums& sums) {
    sync_block();  // nobody reads a stage any more
    sums.store(result);
    sync_block();
  }
};

}  // namespace SCRAWL_CUDA
