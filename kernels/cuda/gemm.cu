/// Matrix products: a block makes a tile of the result, on tensor cores for bf16, f16 and tf32. Where there
/// are fewer tiles than multiprocessors, the summed axis is split: each part leaves its sums in the
/// workspace, and a second kernel adds them in order. Bias and activation are applied where sums are
/// complete.

#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/matrix_product.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

/// The axis that a product sums over.
struct Depth {
  int k, k_per_part;  ///< of the parts: a multiple of every stage's depth
};

/// T: as stored. Sums: TensorSums or ExactSums.
template <class T, class Tile, class Sums, Contiguous kA, Contiguous kB, Fetch kFetch>
SCRAWL_KERNEL SCRAWL_THREADS(threads_of<Tile>, 2) void gemm_tile(Result p, Depth depth, Matrix<T> a,
                                                                 Matrix<T> b) {
  using Memory = GemmMemory<T, Tile, kA, kB>;
  auto& memory = shared_memory<Memory>();
  const int tiles_n = (p.n + Tile::n - 1) / Tile::n, tile = static_cast<int>(block_index().x),
            part = static_cast<int>(block_index().y), m = tile / tiles_n * Tile::m,
            n = tile % tiles_n * Tile::n, begin = part * depth.k_per_part,
            end = begin + depth.k_per_part < depth.k ? begin + depth.k_per_part : depth.k;
  Sums sums;
  memory.add_product(
      sums, MatrixSource<kFetch, T, typename Memory::StageA, threads_of<Tile>>(a, m, begin, p.m, end),
      MatrixSource<kFetch, T, typename Memory::StageB, threads_of<Tile>>(b, n, begin, p.n, end),
      stages_of<T>(begin, end));
  memory.gather(sums);
  write_tile(p, memory.result, m, n, p.m, p.n, part);
}

struct AddParts {
  static constexpr int threads = 256;
};

SCRAWL_KERNEL SCRAWL_THREADS(AddParts::threads) void add_each(Result p, int parts) {
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

template <class Tile>
std::int64_t tiles_of(const MatrixProduct& o) {
  return ((std::int64_t{o.m()} + Tile::m - 1) / Tile::m) * ((std::int64_t{o.n()} + Tile::n - 1) / Tile::n);
}

/// Whether rows of a matrix are whole vectors of 16 bytes.
bool is_in_vectors(const View& x) {
  const auto element = static_cast<std::int64_t>(size_of(x.type));
  return is_vector_aligned(x.data) && x.shape[1] * element % 16 == 0 && x.strides[0] * element % 16 == 0;
}

template <class T>
Matrix<T> matrix_of(const View& x) {
  return {x.as<const T>(), x.strides[0]};
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
void launch_tiles(const MatrixProduct& o, const Result& result, const Parts& parts, Stream stream) {
  dispatch_contiguous(o, [&]<Contiguous kA, Contiguous kB>() {
    launch({.kernel = "gemm_tile",
            .blocks = {blocks_for(tiles_of<Tile>(o), 1), static_cast<unsigned>(parts.count)},
            .threads = threads_of<Tile>,
            .shared_bytes = shared_size<GemmMemory<T, Tile, kA, kB>, Tile::shared_budget>,
            .stream = stream},
           gemm_tile<T, Tile, Sums, kA, kB, kFetch>, result, Depth{o.k(), parts.depth_per_part},
           matrix_of<T>(o.a), matrix_of<T>(o.b));
  });
}

/// T: as stored. Sums: of a tile. Operands that no vectors can fetch pass through small tiles: the sums are
/// the same.
template <class T, class Tile, template <class> class Sums>
void launch_product(const MatrixProduct& o, const Parts& parts, Bytes workspace, Stream stream) {
  const Result result{.m = o.m(),
                      .n = o.n(),
                      .parts = parts.count > 1 ? reinterpret_cast<float*>(workspace.data()) : nullptr,
                      .bias = o.bias.as<const float>(),
                      .activation = o.activation,
                      .y = o.y.data,
                      .y_type = o.y.type,
                      .in_vectors = is_vector_aligned(o.y.data) && o.n() % Chunk::columns == 0};
  if (is_in_vectors(o.a) && is_in_vectors(o.b))
    launch_tiles<T, Tile, Sums<Tile>, Fetch::vectors>(o, result, parts, stream);
  else
    launch_tiles<T, SmallTile, Sums<SmallTile>, Fetch::elements>(o, result, parts, stream);
  if (parts.count > 1) add_parts(result, parts, stream);
}

/// The plan of a call by kernels launched by kLaunch<T, Sums>.
template <class Call, class Tile, class F>
Plan<Call> plan_product(Call& call, const Selection& selection, F launch_with) {
  place(call);
  const auto o = operands_of(call);
  const auto parts = Parts::of(tiles_of<Tile>(o), o.k(), selection.multiprocessors);
  const auto product_bytes = workspace_aligned(parts.bytes(o.m(), o.n()));
  auto bytes = product_bytes;
  if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
    if (call.db.present()) bytes += column_sums_bytes(o.k(), call.db.shape.count());
  return {.workspace_bytes = bytes, .run = [=](const Call& c, Bytes workspace, Stream stream) {
            const auto given = operands_of(c);
            launch_with(given, parts, workspace, stream);
            if constexpr (std::is_same_v<Call, DenseBackwardWeight>)
              if (c.db.present())
                column_sums(given.a, given.k(), c.db, workspace.subspan(product_bytes), stream);
          }};
}

template <class Tile>
void refuse_few_tiles(const MatrixProduct& o, const Selection& selection) {
  if (tiles_of<Tile>(o) < selection.multiprocessors)
    throw Refused("needs {} tiles of {} x {}, one a multiprocessor, got {}", selection.multiprocessors,
                  Tile::m, Tile::n, tiles_of<Tile>(o));
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

int row_parts_of(std::int64_t rows) {
  return static_cast<int>(std::max<std::int64_t>(1, (rows + ColumnSums::rows - 1) / ColumnSums::rows));
}

}  // namespace

void add_parts(const Result& result, const Parts& parts, Stream stream) {
  launch({.kernel = "add_parts",
          .blocks = {blocks_for(std::int64_t{result.m} * result.n, AddParts::threads)},
          .threads = AddParts::threads,
          .stream = stream},
         add_each, result, parts.count);
}

void finish_product(float* products, const View& bias, Activation activation, const View& y, Stream stream) {
  add_parts({.m = static_cast<int>(y.shape[0]),
             .n = static_cast<int>(y.shape[1]),
             .parts = products,
             .bias = bias.as<const float>(),
             .activation = activation,
             .y = y.data,
             .y_type = y.type},
            {.count = 1}, stream);
}

std::size_t column_sums_bytes(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(row_parts_of(rows) * columns) * sizeof(float);
}

void column_sums(const View& dy, std::int64_t rows, const View& db, Bytes workspace, Stream stream) {
  const int columns = static_cast<int>(db.shape.count());
  const Parts parts{.count = row_parts_of(rows)};
  auto* const sums = reinterpret_cast<float*>(workspace.data());
  dispatch_storage(dy.type, [&]<class T>() {
    launch({.kernel = "sum_columns",
            .blocks = {blocks_for(std::int64_t{blocks_for(columns, ColumnSums::columns)} * parts.count, 1)},
            .threads = ColumnSums::threads,
            .shared_bytes = shared_size<ColumnSums, 1024>,
            .stream = stream},
           sum_columns<T>, dy.as<const T>(), static_cast<int>(rows), columns, sums);
  });
  add_parts({.m = 1, .n = columns, .parts = sums, .y = db.data, .y_type = DType::f32}, parts, stream);
}

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
