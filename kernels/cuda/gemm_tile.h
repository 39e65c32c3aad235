#pragma once
/// A block's part of a product, op(a) op(b), for a tile of the result: operands pass through shared memory in
/// a ring of stages that cp.async fills ahead, and from there to tensor cores or to plain multiply-adds.

#include <cmath>

#include "kernels/cuda/device/convert.h"
#include "kernels/cuda/device/mma.h"
#include "kernels/cuda/device/pipeline.h"
#include "kernels/cuda/device/vector.h"

namespace SCRAWL_CUDA {

/// Of the result: what a block computes, and how its warps share it.
struct SmallTile {
  static constexpr int m = 64, n = 64, warps_m = 2, warps_n = 2, stages = 4, shared_budget = 40 << 10;
};
struct LargeTile {
  static constexpr int m = 128, n = 128, warps_m = 2, warps_n = 2, stages = 3, shared_budget = 68 << 10;
};
template <class Tile>
inline constexpr int threads_of = warp_size* Tile::warps_m* Tile::warps_n;

/// Elements of the summed axis in a stage: 64 bytes.
template <class T>
inline constexpr int stage_depth = 64 / static_cast<int>(sizeof(T));

/// Stages of an axis from `begin` to `end`.
template <class T>
SCRAWL_DEVICE int stages_of(int begin, int end) {
  return (end - begin + stage_depth<T> - 1) / stage_depth<T>;
}

/// An operand in global memory: stored rows x columns, rows `stride` elements apart.
template <class T>
struct Matrix {
  const T* data;
  std::int64_t stride;
};

/// How operands are fetched: vectors of 16 bytes, where every row starts and ends at a multiple of them.
enum class Fetch : std::uint8_t { vectors, elements };

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

  /// The vectors of 16 bytes that a lane copies of each stage. All lie in one column of vectors.
  template <int kThreads>
  struct Vectors {
    static constexpr int vector = full_vector<T>, in_row = columns / vector, count = rows * in_row / kThreads;
    static_assert(rows * in_row % kThreads == 0 && kThreads % in_row == 0);

    SCRAWL_DEVICE static int row(int i) { return (i * kThreads + thread_index()) / in_row; }
    SCRAWL_DEVICE static int column() { return thread_index() % in_row * vector; }
    SCRAWL_DEVICE static int extent(int i) { return by_depth ? row(i) : column(); }
    SCRAWL_DEVICE static int depth(int i) { return by_depth ? column() : row(i); }
  };

  /// Stores value(extent, depth) for each element, which is 0 beyond the operand. All lanes of a block call.
  template <int kThreads, class Value>
  SCRAWL_DEVICE void fill(Value value) {
    for (int i = thread_index(); i < rows * columns; i += kThreads) {
      const int row = i / columns, column = i % columns;
      values[row * stride + column] = value(by_depth ? row : column, by_depth ? column : row);
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

/// Fetches stage after stage of a matrix, from (extent, depth) on, by vectors that arrive later; what lies at
/// `extents` and `depths` or beyond is 0. A source of stages is its lane's own.
template <class T, class Stage, int kThreads>
class MatrixVectors {
  using Own = typename Stage::template Vectors<kThreads>;

 public:
  static constexpr bool is_async = true;

  SCRAWL_DEVICE MatrixVectors(const Matrix<T>& x, int extent, int depth, int extents, int depths)
      : step_(Stage::by_depth ? stage_depth<T> : stage_depth<T> * x.stride) {
#pragma unroll
    for (int i = 0; i < Own::count; ++i) {
      const int e = extent + Own::extent(i), d = depth + Own::depth(i);
      from_[i] = x.data + (Stage::by_depth ? e * x.stride + d : d * x.stride + e);
      left_[i] = e < extents ? depths - d : 0;
    }
  }

  SCRAWL_DEVICE void fetch(Stage& to) {
#pragma unroll
    for (int i = 0; i < Own::count; ++i) {
      copy_to_shared<16>(&to.values[Own::row(i) * Stage::stride + Own::column()], from_[i],
                         left_[i] > 0 ? 16 : 0);
      from_[i] += step_;
      left_[i] -= stage_depth<T>;
    }
  }

 private:
  const T* from_[Own::count];
  int left_[Own::count];
  std::int64_t step_;
};

/// The same by elements, wherever rows start.
template <class T, class Stage, int kThreads>
class MatrixElements {
 public:
  static constexpr bool is_async = false;

  SCRAWL_DEVICE MatrixElements(const Matrix<T>& x, int extent, int depth, int extents, int depths)
      : x_(x), extent_(extent), depth_(depth), extents_(extents), depths_(depths) {}

  SCRAWL_DEVICE void fetch(Stage& to) {
    to.template fill<kThreads>([&](int extent, int depth) {
      const int e = extent_ + extent, d = depth_ + depth;
      return e < extents_ && d < depths_ ? x_.data[Stage::by_depth ? e * x_.stride + d : d * x_.stride + e]
                                         : T{};
    });
    depth_ += stage_depth<T>;
  }

 private:
  Matrix<T> x_;
  int extent_, depth_, extents_, depths_;
};

template <Fetch kFetch, class T, class Stage, int kThreads>
using MatrixSource = std::conditional_t<kFetch == Fetch::vectors, MatrixVectors<T, Stage, kThreads>,
                                        MatrixElements<T, Stage, kThreads>>;

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

/// Sums of f32 in f32: a lane has every eighth row and every sixteenth column of a SmallTile.
struct ExactSums {
  using Tile = SmallTile;
  static constexpr int down = 8, across = 16, rows = Tile::m / down, columns = Tile::n / across;
  float sums[rows][columns] = {};

  SCRAWL_DEVICE static int row() { return thread_index() / across; }
  SCRAWL_DEVICE static int column() { return thread_index() % across; }

  template <class A, class B>
  SCRAWL_DEVICE void add(A& a, B& b) {
#pragma unroll 4
    for (int k = 0; k < stage_depth<float>; ++k) {
      float left[rows], right[columns];
#pragma unroll
      for (int i = 0; i < rows; ++i) left[i] = a.at(row() + down * i, k);
#pragma unroll
      for (int j = 0; j < columns; ++j) right[j] = b.at(column() + across * j, k);
#pragma unroll
      for (int i = 0; i < rows; ++i)
#pragma unroll
        for (int j = 0; j < columns; ++j) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
    }
  }

  SCRAWL_DEVICE void store(ResultTile<Tile>& result) const {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) result.at(row() + down * i, column() + across * j) = sums[i][j];
  }
};

/// A block's shared memory: a ring of stages, then the result.
template <class T, class Tile, Contiguous kA, Contiguous kB>
union GemmMemory {
  using StageA = OperandStage<T, Tile::m, kA>;
  using StageB = OperandStage<T, Tile::n, kB>;
  struct Stage {
    StageA a;
    StageB b;
  } stages[Tile::stages];
  ResultTile<Tile> result;

  /// Adds the products of `steps` stages of both operands to `sums`. All lanes of the block call.
  template <class Sums, class FromA, class FromB>
  SCRAWL_DEVICE void add_product(Sums& sums, FromA from_a, FromB from_b, int steps) {
    constexpr bool is_async = FromA::is_async || FromB::is_async;
    constexpr int ahead = Tile::stages - 1;
    const auto fetch = [&](int step, Stage& stage) {
      if (step < steps) {
        from_a.fetch(stage.a);
        from_b.fetch(stage.b);
      }
      if constexpr (is_async) commit_copies();  // an empty group too: waits count groups
    };
#pragma unroll
    for (int step = 0; step < ahead; ++step) fetch(step, stages[step]);
    int read = 0, write = ahead;
    for (int step = 0; step < steps; ++step) {
      if constexpr (is_async) wait_copies<ahead - 1>();
      sync_block();  // the stage is there for all, and nobody reads the one before any more
      fetch(step + ahead, stages[write]);
      sums.add(stages[read].a, stages[read].b);
      read = read + 1 == Tile::stages ? 0 : read + 1;
      write = write + 1 == Tile::stages ? 0 : write + 1;
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
