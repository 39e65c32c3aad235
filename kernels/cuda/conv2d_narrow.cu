/// Convolution of few channels (a gray image, RGB), whose windows hold few elements in all: a block gathers a
/// tile of patches into shared memory once, padded to whole stages, and then makes all of its pixels'
/// channels, tile after tile, while the next weights arrive. These are arranged in the workspace first, in
/// rows that are padded likewise.
///
/// Predicted for b1 (75 deep, 512 channels) in bf16, per tile of 64 x 64: 48 mma a warp, and 96 KiB through
/// shared memory, which bounds it at half of the tensor cores' rate. For a1 (9 deep) the gather bounds it,
/// with some 500 instructions a warp. Not measured.

#include "kernels/check.h"
#include "kernels/cuda/convolution_call.h"
#include "kernels/cuda/planners.h"

namespace SCRAWL_CUDA {

namespace {

using Tile = SmallTile;
static_assert(Tile::m % most_pooled_pixels == 0);
constexpr int threads = threads_of<Tile>;

template <class T, int kStages>
struct NarrowMemory {
  using Stage = OperandStage<T, Tile::m, Contiguous::depth>;
  Stage patches[kStages], weights[2][kStages];
  ResultTile<Tile> result;
  typename Patches<T>::Corner corners[Tile::m];
};

/// T: as stored. Sums: TensorSums or ExactSums. kStages: of the depth. A block makes Tile::m rows of y.
/// Registers for five blocks at once: left to itself, nvcc saves more of them, and ExactSums spill.
template <class T, class Sums, int kStages>
SCRAWL_KERNEL SCRAWL_THREADS(threads, 5) void convolve_narrow(Convolution<T> c, Result result,
                                                              Pooling pooling, TileMoments moments) {
  using Memory = NarrowMemory<T, kStages>;
  using Stage = typename Memory::Stage;
  auto& memory = shared_memory<Memory>();
  constexpr int depth = stage_depth<T>, rows_apart = threads / depth;
  const int m = static_cast<int>(block_index().x) * Tile::m, tiles = (c.columns + Tile::n - 1) / Tile::n;

  const auto fetch_weights = [&](int tile) {
    if (tile < tiles) {
      MatrixVectors<T, Stage, threads> source(c.w, tile * Tile::n, 0, c.columns, kStages * depth);
#pragma unroll
      for (int stage = 0; stage < kStages; ++stage) source.fetch(memory.weights[tile % 2][stage]);
    }
    commit_copies();
  };
  fetch_weights(0);

  if (thread_index() < Tile::m) memory.corners[thread_index()] = c.patches.corner(m + thread_index());
  sync_block();
  const int column = thread_index() % depth;
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) {
    const int d = stage * depth + column;
    const auto tap = c.patches.tap(0, d);
    for (int row = thread_index() / depth; row < Tile::m; row += rows_apart) {
      const T* const from = d < c.patches.depth ? c.patches.at(memory.corners[row], tap) : nullptr;
      memory.patches[stage].at(row, column) = from ? *from : T{};
    }
  }

  for (int tile = 0; tile < tiles; ++tile) {
    wait_copies<0>();
    sync_block();  // weights are there for all, and nobody reads the tile before any more
    fetch_weights(tile + 1);
    Sums sums;
#pragma unroll
    for (int stage = 0; stage < kStages; ++stage)
      sums.add(memory.patches[stage], memory.weights[tile % 2][stage]);
    sums.store(memory.result);
    sync_block();
    if (pooling.is_on)
      write_pooled(result, pooling, c.patches.rows, memory.result, m, tile * Tile::n, c.columns);
    else if (moments.are_wanted())
      write_with_moments(result, moments, c.patches.rows, memory.result, m, tile * Tile::n, c.columns);
    else
      write_tile(result, memory.result, m, tile * Tile::n, result.m, c.columns, 0);
  }
}

template <class T, class Sums, int kStages>
Partials launch_narrow(const ConvolutionCall& c, const void* w, Bytes workspace, Stream stream) {
  const Convolution<T> convolution{.patches = c.patches<T>(),
                                   .w = {static_cast<const T*>(w), kStages * stage_depth<T>},
                                   .columns = static_cast<int>(c.columns())};
  const auto moments = c.moments<Tile>(workspace);
  launch({.kernel = "convolve_narrow",
          .blocks = {blocks_for(c.rows.count, Tile::m)},
          .threads = threads,
          .shared_bytes = shared_size<NarrowMemory<T, kStages>, 99 << 10>,
          .stream = stream},
         convolve_narrow<T, Sums, kStages>, convolution, c.result(nullptr), c.pooling, moments);
  return moments.partials;
}

using Launcher = Partials (*)(const ConvolutionCall&, const void* w, Bytes workspace, Stream);

/// A launcher, and the length that rows of weights are padded to.
struct Narrow {
  Launcher launch;
  int depth;

  template <class T, class Sums, int kStages>
  static Narrow of() {
    return {launch_narrow<T, Sums, kStages>, kStages * stage_depth<T>};
  }

  static Narrow of(DType type, F32Products products, std::int64_t depth) {
    const bool is_shallow = depth <= 64 / static_cast<std::int64_t>(size_of(type));
    if (type == DType::bf16)
      return is_shallow ? of<bf16, Bf16Sums<Tile>, 1>() : of<bf16, Bf16Sums<Tile>, 3>();
    if (type == DType::f16) return is_shallow ? of<f16, F16Sums<Tile>, 1>() : of<f16, F16Sums<Tile>, 3>();
    if (products == F32Products::tf32) return of<float, Tf32Sums<Tile>, 5>();
    return of<float, ExactSums, 5>();
  }
};

template <class Call>
Plan<Call> plan_narrow(Call& call, const Selection& selection) {
  constexpr std::int64_t deepest = 80;  // of f32; what is deeper has channels for the implicit product
  make_channels_last(call.x, call.w, call.y);
  if constexpr (std::is_same_v<Call, Conv2dPoolForward>) make_channels_last(call.argmax);
  if constexpr (std::is_same_v<Call, Conv2dMomentsForward>) make_row_major(call.mean, call.variance);
  const auto c = convolution_of(call);
  refuse_large(c);
  if (c.depth_c() * static_cast<std::int64_t>(size_of(c.read.type)) % 16 == 0)
    throw Refused("needs channels that are no whole vectors of 16 bytes, got {}", c.depth_c());
  if (c.groups > 1) throw Refused("needs one group, got {}", c.groups);
  if (c.depth() > deepest)
    throw Refused("needs windows of at most {} elements, channels included, got {}", deepest, c.depth());
  const auto narrow = Narrow::of(c.read.type, selection.f32_products, c.depth());
  constexpr bool has_moments = std::is_same_v<Call, Conv2dMomentsForward>;
  const MomentsWorkspace moments(c, selection.multiprocessors);
  const auto weight_bytes =
      workspace_aligned(static_cast<std::size_t>(c.columns() * narrow.depth) * size_of(c.w.type));
  return {.workspace_bytes = weight_bytes + (has_moments ? moments.bytes : 0),
          .run = [=](const Call& given, Bytes workspace, Stream stream) {
            const auto own = convolution_of(given);
            arrange_weights(own.w, 1, Rows::outputs, workspace.data(), narrow.depth, stream);
            const auto rest = workspace.subspan(weight_bytes);
            const auto left = narrow.launch(own, workspace.data(), rest, stream);
            if constexpr (has_moments) moments.merge(left, given, rest, stream);
            if constexpr (std::is_same_v<Call, Conv2dForward>) zero_beyond(given.y, given.y_widths, stream);
          }};
}

}  // namespace

Plan<Conv2dForward> conv2d_narrow(Conv2dForward& call, const Selection& selection) {
  return plan_narrow(call, selection);
}

Plan<Conv2dPoolForward> conv2d_pool_narrow(Conv2dPoolForward& call, const Selection& selection) {
  return plan_narrow(call, selection);
}

Plan<Conv2dMomentsForward> conv2d_moments_narrow(Conv2dMomentsForward& call, const Selection& selection) {
  return plan_narrow(call, selection);
}

}  // namespace SCRAWL_CUDA
