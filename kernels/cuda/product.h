#pragma once
/// How the tiles of a product become its result: whole, with bias and activation, or, where there are fewer
/// tiles than multiprocessors, as parts of the sum, which a second kernel adds in order.

#include <algorithm>

#include "kernels/cuda/gemm_tile.h"
#include "kernels/cuda/nonlinear.h"
#include "kernels/cuda/sums.h"
#include "kernels/plan.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// y = f(sums + bias), or the parts of these sums. y: (m, n) row-major.
struct Result {
  int m, n;
  float* parts;       ///< (parts, m, n): sums go there; null: y is complete
  const float* bias;  ///< (n), or null
  Activation activation;
  void* y;
  DType y_type;
  bool in_vectors;  ///< whether tiles' rows are whole vectors, of sums and of y
};

/// Calls f with y as its type.
template <class F>
SCRAWL_DEVICE void with_y(const Result& p, F&& f) {
  switch (p.y_type) {
    case DType::bf16:
      return f(static_cast<bf16*>(p.y));
    case DType::f16:
      return f(static_cast<f16*>(p.y));
    default:
      return f(static_cast<float*>(p.y));
  }
}

/// Sums of one row that a lane writes at once.
struct Chunk {
  static constexpr int columns = 8;
  float sums[columns];

  SCRAWL_DEVICE static Chunk load(const float* from) {
    Chunk chunk;
#pragma unroll
    for (int i = 0; i < columns; i += 4) {
      const auto four = load_vector<4>(from + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) chunk.sums[i + j] = four[j];
    }
    return chunk;
  }

  /// Of the columns from `first` on; 0 without a bias.
  SCRAWL_DEVICE static Chunk bias(const float* bias, int first, int count) {
    Chunk chunk{};
    if (bias)
#pragma unroll
      for (int i = 0; i < columns; ++i)
        if (i < count) chunk.sums[i] = bias[first + i];
    return chunk;
  }

  /// The sums are then those that are stored.
  template <class T>
  SCRAWL_DEVICE void write(T* y, int count, bool in_vectors) {
    constexpr int vector = full_vector<T>;
    if (in_vectors && count >= columns) {
#pragma unroll
      for (int i = 0; i < columns; i += vector) {
        Vector<T, vector> values;
#pragma unroll
        for (int j = 0; j < vector; ++j) {
          values[j] = from_float<T>(sums[i + j]);
          sums[i + j] = to_float(values[j]);
        }
        store_vector(y + i, values);
      }
    } else {
#pragma unroll
      for (int i = 0; i < columns; ++i)
        if (i < count) {
          const T value = from_float<T>(sums[i]);
          y[i] = value;
          sums[i] = to_float(value);
        }
    }
  }

  SCRAWL_DEVICE void store(float* to) const {
#pragma unroll
    for (int i = 0; i < columns; i += 4)
      store_vector(to + i, Vector<float, 4>{{sums[i], sums[i + 1], sums[i + 2], sums[i + 3]}});
  }
};

/// How a block's lanes share a tile's rows.
template <class Tile>
struct TileRows {
  static constexpr int across = Tile::n / Chunk::columns, down = threads_of<Tile> / across;
  static_assert(threads_of<Tile> % across == 0);

  SCRAWL_DEVICE static int column() { return thread_index() % across * Chunk::columns; }
  SCRAWL_DEVICE static int row() { return thread_index() / across; }
};

/// Writes the tile at (m, n), up to row m_end and column n_end.
template <class Tile>
SCRAWL_DEVICE void write_tile(const Result& p, ResultTile<Tile>& result, int m, int n, int m_end, int n_end,
                              int part) {
  using Rows = TileRows<Tile>;
  const int first = n + Rows::column(), count = n_end - first;
  if (count <= 0) return;
  const auto bias = Chunk::bias(p.bias, first, count);
#pragma unroll 1
  for (int row = Rows::row(); row < Tile::m && m + row < m_end; row += Rows::down) {
    auto chunk = Chunk::load(&result.at(row, Rows::column()));
    const auto at = std::int64_t{m + row} * p.n + first;
    if (p.parts) {
      chunk.write(p.parts + std::int64_t{part} * p.m * p.n + at, count, p.in_vectors);
      continue;
    }
#pragma unroll
    for (int i = 0; i < Chunk::columns; ++i)
      chunk.sums[i] = activated(p.activation, chunk.sums[i] + bias.sums[i]);
    with_y(p, [&](auto* y) { chunk.write(y + at, count, p.in_vectors); });
  }
}

/// Into how many parts a summed axis goes: enough for two blocks a multiprocessor, each of some stages. Where
/// the number of multiprocessors is 0, parts have one size, so that zeros behind an axis add parts of zeros
/// and change no bit.
struct Parts {
  int count = 1, depth_per_part = 0;

  static Parts of(std::int64_t tiles, std::int64_t depth, int multiprocessors) {
    constexpr std::int64_t deepest = 32, least_stages = 4, most = 256, one_size = 2048;
    if (multiprocessors == 0)
      return {static_cast<int>(std::max<std::int64_t>(1, (depth + one_size - 1) / one_size)), one_size};
    const auto wanted = tiles == 0 ? 1 : 2 * multiprocessors / tiles,
               possible = depth / (deepest * least_stages);
    const auto parts = std::max<std::int64_t>(1, std::min({wanted, possible, most}));
    const auto stages = (depth + deepest * parts - 1) / (deepest * parts);
    const auto per_part = std::max<std::int64_t>(1, stages) * deepest;
    return {static_cast<int>(std::max<std::int64_t>(1, (depth + per_part - 1) / per_part)),
            static_cast<int>(per_part)};
  }

  /// What the sums of all parts take of the workspace.
  std::size_t bytes(std::int64_t m, std::int64_t n) const {
    return count > 1 ? static_cast<std::size_t>(count * m * n) * sizeof(float) : 0;
  }
};

// In gemm.cu, for all products:

/// y = f(sum of the parts + bias), in order.
void add_parts(const Result&, const Parts&, Stream);

/// Where the next piece of a workspace may begin.
constexpr std::size_t workspace_aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

/// Names the types of sums that a tile may have, for launchers.
template <class Tile>
using Bf16Sums = TensorSums<bf16, Tile>;
template <class Tile>
using F16Sums = TensorSums<f16, Tile>;
template <class Tile>
using Tf32Sums = TensorSums<tf32, Tile>;
template <class Tile>
using F32Sums = ExactSums;

/// f<T, Tile, Sums>() with a storage type and the sums of its products: exact ones have small tiles.
template <class Tile, class F>
auto with_sums(DType type, F32Products products, F f) {
  if (type == DType::bf16) return f.template operator()<bf16, Tile, Bf16Sums>();
  if (type == DType::f16) return f.template operator()<f16, Tile, F16Sums>();
  if (products == F32Products::tf32) return f.template operator()<float, Tile, Tf32Sums>();
  return f.template operator()<float, SmallTile, F32Sums>();
}

/// Large tiles are for tensor cores.
inline void refuse_exact(DType type, F32Products products) {
  if (type == DType::f32 && products != F32Products::tf32)
    throw Refused("needs bf16, f16, or leave to round f32 to tf32");
}

}  // namespace SCRAWL_CUDA
