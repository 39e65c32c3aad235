/// The gradient of a convolution with respect to its weights: dw (K, R S C) = dy^T patches, summed over all
/// pixels, which are split into parts whose sums are added in order. A block makes a tile of dw; dy and
/// patches of x pass through shared memory as they are stored, pixel by pixel. db is the sum of dy's rows.
///
/// Predicted, not measured, from sm_90a's code for implicit_128x128 in bf16: a warp's stage, 32 deep, is 273
/// instructions, of which 64 mma: as conv2d.cu; 993 where x has too few channels for vectors (a1, b1): bound
/// by issuing them, at a third of that.

#include "kernels/check.h"
#include "kernels/cuda/convolution_call.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

template <class T, class Tile>
using WeightMemory = GemmMemory<T, Tile, Contiguous::extent, Contiguous::extent>;

/// Which pixels a block sums over.
struct Pixels {
  int count, per_part;  ///< of the parts: a multiple of every stage's depth
};

/// T: as stored. Sums: TensorSums or ExactSums. Blocks: tiles, parts of the pixels, groups.
template <class T, class Tile, class Sums, Fetch kDy, Fetch kX>
SCRAWL_KERNEL SCRAWL_THREADS(threads_of<Tile>, 2) void sum_weights(Patches<T> x, Matrix<T> dy, Result result,
                                                                   int channels, Pixels pixels) {
  using Memory = WeightMemory<T, Tile>;
  constexpr int threads = threads_of<Tile>;
  auto& memory = shared_memory<Memory>();
  const int tiles_n = (x.depth + Tile::n - 1) / Tile::n, tile = static_cast<int>(block_index().x),
            part = static_cast<int>(block_index().y), group = static_cast<int>(block_index().z),
            m = group * channels + tile / tiles_n * Tile::m, m_end = (group + 1) * channels,
            n = tile % tiles_n * Tile::n, begin = part * pixels.per_part,
            end = begin + pixels.per_part < pixels.count ? begin + pixels.per_part : pixels.count;
  Sums sums;
  memory.add_product(sums, MatrixSource<kDy, T, typename Memory::StageA, threads>(dy, m, begin, m_end, end),
                     PatchSource<kX, T, typename Memory::StageB, threads>(x, group, n, begin, end),
                     stages_of<T>(begin, end));
  memory.gather(sums);
  write_tile(result, memory.result, m, n, m_end, result.n, part);
}

/// As a convolution that reads x and writes dy, which is given here.
ConvolutionCall forward_of(const Conv2dBackwardWeight& c) {
  return convolution_of(Conv2dForward{.params = c.params, .x = c.x, .w = c.dw, .y = c.dy});
}

/// Tiles of dw, of a group.
template <class Tile>
std::int64_t tiles_of(const ConvolutionCall& c) {
  return (c.columns() + Tile::m - 1) / Tile::m * ((c.depth() + Tile::n - 1) / Tile::n);
}

/// T: as stored. Sums: of a tile.
template <class T, class Tile, template <class> class Sums>
void launch_sums(const Conv2dBackwardWeight& call, const Parts& parts, Bytes workspace, Stream stream) {
  const auto c = forward_of(call);
  const Result result{.m = static_cast<int>(call.dw.shape[0]),
                      .n = static_cast<int>(c.depth()),
                      .parts = parts.count > 1 ? reinterpret_cast<float*>(workspace.data()) : nullptr,
                      .y = call.dw.data,
                      .y_type = DType::f32,
                      .in_vectors = is_vector_aligned(call.dw.data) && c.depth() % Chunk::columns == 0};
  const auto launch_with = [&]<class Of, Fetch kDy, Fetch kX>() {
    launch({.kernel = "sum_weights",
            .blocks = {blocks_for(tiles_of<Of>(c), 1), static_cast<unsigned>(parts.count),
                       static_cast<unsigned>(c.groups)},
            .threads = threads_of<Of>,
            .shared_bytes = shared_size<WeightMemory<T, Of>, Of::shared_budget>,
            .stream = stream},
           sum_weights<T, Of, Sums<Of>, kDy, kX>, c.patches<T>(),
           Matrix<T>{call.dy.as<const T>(), call.dy.shape[1]}, result, static_cast<int>(c.columns()),
           Pixels{c.rows.count, parts.depth_per_part});
  };
  const auto is_whole = [](const void* data, std::int64_t channels) {
    return is_vector_aligned(data) && channels * static_cast<std::int64_t>(sizeof(T)) % 16 == 0;
  };
  const bool dy_is_whole = is_whole(call.dy.data, c.columns()), x_is_whole = c.reads_vectors();
  using enum Fetch;
  if (dy_is_whole && x_is_whole)
    launch_with.template operator()<Tile, vectors, vectors>();
  else if (dy_is_whole)
    launch_with.template operator()<Tile, vectors, elements>();
  else
    launch_with.template operator()<SmallTile, elements, elements>();
  if (parts.count > 1) add_parts(result, parts, stream);
}

using Launcher = void (*)(const Conv2dBackwardWeight&, const Parts&, Bytes workspace, Stream);

struct LauncherOf {
  template <class T, class Tile, template <class> class Sums>
  Launcher operator()() const {
    return launch_sums<T, Tile, Sums>;
  }
};

template <class Tile>
Plan<Conv2dBackwardWeight> plan_tiles(Conv2dBackwardWeight& call, const Selection& selection) {
  make_channels_last(call.x, call.dy, call.dw);
  const auto c = forward_of(call);
  refuse_large(c);
  const auto parts = Parts::of(tiles_of<Tile>(c) * c.groups, c.rows.count, selection.multiprocessors);
  const auto sums_bytes = workspace_aligned(parts.bytes(call.dw.shape[0], c.depth()));
  const auto db_bytes = call.db.present() ? column_sums_bytes(c.rows.count, call.db.shape.count()) : 0;
  return {.workspace_bytes = sums_bytes + db_bytes,
          .run = [=, launch_parts = with_sums<Tile>(call.x.type, selection.f32_products, LauncherOf{})](
                     const Conv2dBackwardWeight& given, Bytes workspace, Stream stream) {
            launch_parts(given, parts, workspace, stream);
            if (given.db.present())
              column_sums(given.dy, c.rows.count, given.db, workspace.subspan(sums_bytes), stream);
          }};
}

Plan<Conv2dBackwardWeight> plan_large(Conv2dBackwardWeight& call, const Selection& selection) {
  const auto c = forward_of(call);
  refuse_exact(call.x.type, selection.f32_products);
  if (c.columns() <= LargeTile::m / 2 || c.depth() <= LargeTile::n / 2)
    throw Refused("needs more than {} channels a group and elements of a window, got {} and {}",
                  LargeTile::m / 2, c.columns(), c.depth());
  return plan_tiles<LargeTile>(call, selection);
}

constexpr Variant<Conv2dBackwardWeight> variants[] = {
    {"implicit_128x128", Origin::native, plan_large},
    {"implicit_64x64", Origin::native, plan_tiles<SmallTile>},
};

}  // namespace

Plan<Conv2dBackwardWeight> conv2d_backward_weight(Conv2dBackwardWeight& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<Conv2dBackwardWeight>("conv2d_backward_weight", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
