/// Matrix products: a block makes a tile of the result, on tensor cores for bf16, f16 and tf32. Where there
/// are fewer tiles than multiprocessors, the summed axis is split: each part leaves its sums in the
/// workspace, and a second kernel adds them in order. Bias and activation are applied where sums are
/// complete.

#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/gemm_tile.h"
#include "kernels/cuda/nonlinear.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/sums.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

/// y = f(op(a) op(b) + bias), or the parts of its sum.
struct Problem {
  int m, n, k;
  int k_per_part;     ///< of the summed axis: a multiple of every stage's depth
  float* parts;       ///< (parts, m, n): sums go there; null: y is complete
  const float* bias;  ///< (n), or null
  Activation activation;
  void* y;
  DType y_type;
  bool in_vectors;  ///< whether rows of the result are whole vectors, of sums and of y
};

/// Calls f with y as its type.
template <class F>
SCRAWL_DEVICE void with_y(const Problem& p, F&& f) {
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

  template <class T>
  SCRAWL_DEVICE void write(T* y, int count, bool in_vectors) const {
    constexpr int vector = full_vector<T>;
    if (in_vectors && count == columns) {
#pragma unroll
      for (int i = 0; i < columns; i += vector) {
        Vector<T, vector> values;
#pragma unroll
        for (int j = 0; j < vector; ++j) values[j] = from_float<T>(sums[i + j]);
        store_vector(y + i, values);
      }
    } else {
#pragma unroll
      for (int i = 0; i < columns; ++i)
        if (i < count) y[i] = from_float<T>(sums[i]);
    }
  }
};

/// T: as stored. Sums: TensorSums or ExactSums.
template <class T, class Tile, class Sums, Contiguous kA, Contiguous kB, Fetch kFetch>
SCRAWL_KERNEL SCRAWL_THREADS(threads_of<Tile>, 2) void gemm_tile(Problem p, Matrix<T> a, Matrix<T> b) {
  auto& memory = shared_memory<GemmMemory<T, Tile, kA, kB>>();
  const int tiles_n = (p.n + Tile::n - 1) / Tile::n, tile = static_cast<int>(block_index().x),
            part = static_cast<int>(block_index().y), m = tile / tiles_n * Tile::m,
            n = tile % tiles_n * Tile::n, begin = part * p.k_per_part,
            end = begin + p.k_per_part < p.k ? begin + p.k_per_part : p.k;
  Sums sums;
  memory.template add_product<kFetch>(sums, a, b, m, n, p.m, p.n, begin, end);
  memory.gather(sums);

  constexpr int across = Tile::n / Chunk::columns, down = threads_of<Tile> / across;
  static_assert(threads_of<Tile> % across == 0);
  const int column = thread_index() % across * Chunk::columns, first = n + column, count = p.n - first;
  if (count <= 0) return;
  Chunk bias{};
  if (p.bias)
#pragma unroll
    for (int i = 0; i < Chunk::columns; ++i)
      if (i < count) bias.sums[i] = p.bias[first + i];
#pragma unroll 1
  for (int row = thread_index() / across; row < Tile::m && m + row < p.m; row += down) {
    Chunk chunk;
#pragma unroll
    for (int i = 0; i < Chunk::columns; i += 4) {
      const auto four = load_vector<4>(&memory.result.at(row, column + i));
#pragma unroll
      for (int j = 0; j < 4; ++j) chunk.sums[i + j] = four[j];
    }
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

struct AddParts {
  static constexpr int threads = 256;
};

SCRAWL_KERNEL SCRAWL_THREADS(AddParts::threads) void add_parts(Problem p, int parts) {
  const auto at = std::int64_t{block_index().x} * AddParts::threads + thread_index(),
             count = std::int64_t{p.m} * p.n;
  if (at >= count) return;
  float sum = 0;
  for (int part = 0; part < parts; ++part) sum += p.parts[part * count + at];
  if (p.bias) sum += p.bias[at % p.n];
  with_y(p, [&]<class T>(T* y) { y[at] = from_float<T>(activated(p.activation, sum)); });
}

/// Sums of columns, by parts of so many rows: a block has so many columns.
struct ColumnSums {
  static constexpr int rows = 1024, columns = 32, threads = 256, down = threads / columns;
  float values[down][columns];
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(ColumnSums::threads) void sum_columns(const T* x, int rows, int columns,
                                                                   float* parts) {
  auto& shared = shared_memory<ColumnSums>();
  const int blocks = (columns + ColumnSums::columns - 1) / ColumnSums::columns,
            across = thread_index() % ColumnSums::columns, down = thread_index() / ColumnSums::columns,
            column = static_cast<int>(block_index().x) % blocks * ColumnSums::columns + across,
            part = static_cast<int>(block_index().x) / blocks, begin = part * ColumnSums::rows,
            end = begin + ColumnSums::rows < rows ? begin + ColumnSums::rows : rows;
  float sum = 0;
  if (column < columns)
    for (int row = begin + down; row < end; row += ColumnSums::down)
      sum += to_float(x[std::int64_t{row} * columns + column]);
  shared.values[down][across] = sum;
  sync_block();
  if (down > 0 || column >= columns) return;
  for (int i = 1; i < ColumnSums::down; ++i) sum += shared.values[i][across];
  parts[std::int64_t{part} * columns + column] = sum;
}

// ---------------------------------------------------------------------------------------------- launchers

/// Into how many parts the summed axis goes: enough to occupy the GPU, each of some stages.
struct Parts {
  int count, k_per_part;

  template <class Tile>
  static Parts of(const MatrixProduct& o, int multiprocessors) {
    constexpr int deepest = 32, least_stages = 4, most = 64;
    const auto tiles = tiles_of<Tile>(o);
    const auto wanted = tiles == 0 ? 1 : multiprocessors / tiles,
               possible = std::int64_t{o.k()} / (deepest * least_stages);
    const auto parts = std::max<std::int64_t>(1, std::min({wanted, possible, std::int64_t{most}}));
    const auto stages = (o.k() + deepest * parts - 1) / (deepest * parts);
    const auto k_per_part = std::max<std::int64_t>(1, stages) * deepest;
    return {static_cast<int>(std::max<std::int64_t>(1, (o.k() + k_per_part - 1) / k_per_part)),
            static_cast<int>(k_per_part)};
  }

  template <class Tile>
  static std::int64_t tiles_of(const MatrixProduct& o) {
    return ((std::int64_t{o.m()} + Tile::m - 1) / Tile::m) * ((std::int64_t{o.n()} + Tile::n - 1) / Tile::n);
  }
};

/// Whether rows of a matrix are whole vectors of 16 bytes.
bool is_in_vectors(const View& x) {
  return is_vector_aligned(x.data) && x.shape[1] * static_cast<std::int64_t>(size_of(x.type)) % 16 == 0;
}

template <class T>
Matrix<T> matrix_of(const View& x) {
  return {x.as<const T>(), x.shape[1]};
}

/// Calls f<kA, kB>() with what lies contiguous in the operands.
template <class F>
void dispatch_contiguous(const MatrixProduct& o, F&& f) {
  using enum Contiguous;
  const bool a = o.transpose_a == Transpose::yes, b = o.transpose_b == Transpose::yes;
  if (a && b) return f.template operator()<extent, depth>();
  if (a) return f.template operator()<extent, extent>();
  if (b) return f.template operator()<depth, depth>();
  f.template operator()<depth, extent>();
}

/// T: as stored. Sums: TensorSums or ExactSums, for a Tile.
template <class T, class Tile, class Sums, Fetch kFetch>
void launch_tiles(const MatrixProduct& o, const Problem& problem, const Parts& parts, Stream stream) {
  dispatch_contiguous(o, [&]<Contiguous kA, Contiguous kB>() {
    launch({.kernel = "gemm_tile",
            .blocks = {blocks_for(Parts::tiles_of<Tile>(o), 1), static_cast<unsigned>(parts.count)},
            .threads = threads_of<Tile>,
            .shared_bytes = shared_size<GemmMemory<T, Tile, kA, kB>, Tile::shared_budget>,
            .stream = stream},
           gemm_tile<T, Tile, Sums, kA, kB, kFetch>, problem, matrix_of<T>(o.a), matrix_of<T>(o.b));
  });
}

/// T: as stored. Sums: of a tile. MatrixProduct that no vectors can fetch pass through small tiles: the sums
/// are the same.
template <class T, class Tile, template <class> class Sums>
void launch_product(const MatrixProduct& o, const Parts& parts, Bytes workspace, Stream stream) {
  const Problem problem{.m = o.m(),
                        .n = o.n(),
                        .k = o.k(),
                        .k_per_part = parts.k_per_part,
                        .parts = parts.count > 1 ? reinterpret_cast<float*>(workspace.data()) : nullptr,
                        .bias = o.bias.as<const float>(),
                        .activation = o.activation,
                        .y = o.y.data,
                        .y_type = o.y.type,
                        .in_vectors = is_vector_aligned(o.y.data) && o.n() % Chunk::columns == 0};
  if (is_in_vectors(o.a) && is_in_vectors(o.b))
    launch_tiles<T, Tile, Sums<Tile>, Fetch::vectors>(o, problem, parts, stream);
  else
    launch_tiles<T, SmallTile, Sums<SmallTile>, Fetch::elements>(o, problem, parts, stream);
  if (parts.count > 1)
    launch({.kernel = "add_parts",
            .blocks = {blocks_for(std::int64_t{o.m()} * o.n(), AddParts::threads)},
            .threads = AddParts::threads,
            .stream = stream},
           add_parts, problem, parts.count);
}

template <class Tile>
using Bf16Sums = TensorSums<bf16, Tile>;
template <class Tile>
using F16Sums = TensorSums<f16, Tile>;
template <class Tile>
using Tf32Sums = TensorSums<tf32, Tile>;
template <class Tile>
using F32Sums = ExactSums;

int row_parts_of(const View& x) {
  return static_cast<int>(std::max<std::int64_t>(1, (x.shape[0] + ColumnSums::rows - 1) / ColumnSums::rows));
}

}  // namespace

std::size_t column_sums_bytes(const View& x) {
  return static_cast<std::size_t>(row_parts_of(x)) * static_cast<std::size_t>(x.shape[1]) * sizeof(float);
}

void launch_column_sums(const View& x, const View& y, Bytes workspace, Stream stream) {
  const int columns = static_cast<int>(x.shape[1]), parts = row_parts_of(x);
  auto* const sums = reinterpret_cast<float*>(workspace.data());
  dispatch_storage(x.type, [&]<class T>() {
    launch({.kernel = "sum_columns",
            .blocks = {blocks_for(std::int64_t{blocks_for(columns, ColumnSums::columns)} * parts, 1)},
            .threads = ColumnSums::threads,
            .shared_bytes = shared_size<ColumnSums, 1024>,
            .stream = stream},
           sum_columns<T>, x.as<const T>(), static_cast<int>(x.shape[0]), columns, sums);
  });
  launch({.kernel = "add_parts",
          .blocks = {blocks_for(columns, AddParts::threads)},
          .threads = AddParts::threads,
          .stream = stream},
         add_parts, Problem{.m = 1, .n = columns, .parts = sums, .y = y.data, .y_type = DType::f32}, parts);
}

void launch_finish(const float* products, const View& bias, Activation activation, const View& y,
                   Stream stream) {
  Problem problem{.m = static_cast<int>(y.shape[0]),
                  .n = static_cast<int>(y.shape[1]),
                  .parts = const_cast<float*>(products),  // which add_parts reads
                  .bias = bias.as<const float>(),
                  .activation = activation,
                  .y = y.data,
                  .y_type = y.type};
  launch({.kernel = "add_parts",
          .blocks = {blocks_for(y.shape.count(), AddParts::threads)},
          .threads = AddParts::threads,
          .stream = stream},
         add_parts, problem, 1);
}

namespace {

constexpr std::size_t workspace_alignment = 256;
std::size_t rounded(std::size_t bytes) {
  return (bytes + workspace_alignment - 1) / workspace_alignment * workspace_alignment;
}

/// The plan of a call by kernels launched by kLaunch<T, Sums>.
template <class Call, class Tile, class F>
Plan<Call> plan_product(Call& call, const Selection& selection, F launch_with) {
  place(call);
  const auto parts = Parts::of<Tile>(operands_of(call), selection.multiprocessors);
  const auto o = operands_of(call);
  std::size_t bytes = 0;
  if (parts.count > 1)
    bytes = rounded(static_cast<std::size_t>(parts.count) * static_cast<std::size_t>(o.m()) *
                    static_cast<std::size_t>(o.n()) * sizeof(float));
  const auto product_bytes = bytes;
  if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
    if (call.db.present()) bytes += column_sums_bytes(as_matrix(call.dy));
  return {.workspace_bytes = bytes, .run = [=](const Call& c, Bytes workspace, Stream stream) {
            launch_with(operands_of(c), parts, workspace, stream);
            if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
              if (c.db.present())
                launch_column_sums(as_matrix(c.dy), c.db, workspace.subspan(product_bytes), stream);
          }};
}

template <class Tile>
void refuse_few_tiles(const MatrixProduct& o, const Selection& selection) {
  if (Parts::tiles_of<Tile>(o) < selection.multiprocessors)
    throw Refused("needs {} tiles of {} x {}, one a multiprocessor, got {}", selection.multiprocessors,
                  Tile::m, Tile::n, Parts::tiles_of<Tile>(o));
}

void refuse_large(const MatrixProduct& o) {
  constexpr std::int64_t most = 0x7fffffff - 4096;  // so that no index of a tile's edge overflows
  for (const auto& [view, axis] : {std::pair{&o.a, 0}, {&o.a, 1}, {&o.b, 0}, {&o.b, 1}})
    if (view->shape[axis] > most) throw Refused("needs extents up to {}, got {}", most, view->shape[axis]);
}

template <class Call, class Tile>
Plan<Call> plan_tensor(Call& call, const Selection& selection) {
  const auto o = operands_of(call);
  if (o.a.type == DType::f32) throw Refused("needs bf16 or f16, got f32");
  refuse_large(o);
  if constexpr (std::is_same_v<Tile, LargeTile>) refuse_few_tiles<Tile>(o, selection);
  return plan_product<Call, Tile>(
      call, selection, [](const MatrixProduct& p, const Parts& parts, Bytes workspace, Stream stream) {
        if (p.a.type == DType::bf16)
          launch_product<bf16, Tile, Bf16Sums>(p, parts, workspace, stream);
        else
          launch_product<f16, Tile, F16Sums>(p, parts, workspace, stream);
      });
}

template <class Call, class Tile>
Plan<Call> plan_tf32(Call& call, const Selection& selection) {
  const auto o = operands_of(call);
  if (o.a.type != DType::f32) throw Refused("needs f32, got {}", name_of(o.a.type));
  if (selection.f32_products != F32Products::tf32) throw Refused("needs leave to round f32 to tf32");
  refuse_large(o);
  if constexpr (std::is_same_v<Tile, LargeTile>) refuse_few_tiles<Tile>(o, selection);
  return plan_product<Call, Tile>(call, selection, launch_product<float, Tile, Tf32Sums>);
}

template <class Call>
Plan<Call> plan_exact(Call& call, const Selection& selection) {
  const auto o = operands_of(call);
  if (o.a.type != DType::f32) throw Refused("needs f32, got {}", name_of(o.a.type));
  refuse_large(o);
  return plan_product<Call, SmallTile>(call, selection, launch_product<float, SmallTile, F32Sums>);
}

template <class Call>
constexpr Variant<Call> variants[] = {
    {"mma_128x128", Origin::native, plan_tensor<Call, LargeTile>},
    {"mma_64x64", Origin::native, plan_tensor<Call, SmallTile>},
    {"tf32_128x128", Origin::native, plan_tf32<Call, LargeTile>},
    {"tf32_64x64", Origin::native, plan_tf32<Call, SmallTile>},
    {"exact_64x64", Origin::native, plan_exact<Call>},
};

template <class Call>
Plan<Call> plan(std::string_view operation, Call& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<Call>(operation, variants<Call>, call, selection);
}

}  // namespace

Plan<Gemm> gemm(Gemm& call, const Selection& selection) { return plan("gemm", call, selection); }

Plan<DenseForward> dense_forward(DenseForward& call, const Selection& selection) {
  return plan("dense_forward", call, selection);
}

Plan<DenseBackwardData> dense_backward_data(DenseBackwardData& call, const Selection& selection) {
  return plan("dense_backward_data", call, selection);
}

Plan<DenseBackwardWeight> dense_backward_weight(DenseBackwardWeight& call, const Selection& selection) {
  return plan("dense_backward_weight", call, selection);
}

}  // namespace SCRAWL_CUDA
