/// Convolution as an implicit product: a block makes a tile of y (pixels, channels) from patches of x, which
/// are gathered into shared memory on the way to tensor cores, and weights (K, R S C). The gradient with
/// respect to x is the same product, of dy's patches and weights turned around. A tile is written with bias
/// and activation, or pooled, so that what was pooled is never stored, or with the moments that batch norm
/// wants of it, which spares reading it for them; few tiles are split along the depth, but for these two.
///
/// Predicted, not measured, from sm_90a's code for implicit_128x128 in bf16: a warp's stage, 32 deep, is 193
/// instructions, of which 64 mma, 16 ldmatrix, 8 cp.async; a block's stage moves 48 KiB through shared
/// memory, 384 clocks, while mma.sync at 60% of a Hopper's rate takes 430: bound by mma.sync. A gradient
/// across strides is gathered element by element, at a few percent of that.

#include "kernels/conv2d.h"

#include "kernels/check.h"
#include "kernels/cuda/convolution_call.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

template <class T, class Tile>
using ConvolutionMemory = GemmMemory<T, Tile, Contiguous::depth, Contiguous::depth>;

/// T: as stored. Sums: TensorSums or ExactSums. Blocks: tiles, parts of the depth, groups.
template <class T, class Tile, class Sums, Fetch kFetch>
SCRAWL_KERNEL SCRAWL_THREADS(threads_of<Tile>, 2) void convolve(Convolution<T> c, Result result,
                                                                Pooling pooling, TileMoments moments,
                                                                int depth_per_part) {
  using Memory = ConvolutionMemory<T, Tile>;
  constexpr int threads = threads_of<Tile>;
  auto& memory = shared_memory<Memory>();
  const int tiles_n = (c.columns + Tile::n - 1) / Tile::n, tile = static_cast<int>(block_index().x),
            part = static_cast<int>(block_index().y), group = static_cast<int>(block_index().z),
            m = tile / tiles_n * Tile::m, n = group * c.columns + tile % tiles_n * Tile::n,
            n_end = (group + 1) * c.columns, begin = part * depth_per_part,
            end = begin + depth_per_part < c.patches.depth ? begin + depth_per_part : c.patches.depth;
  Sums sums;
  memory.add_product(
      sums, PatchSource<kFetch, T, typename Memory::StageA, threads>(c.patches, group, m, begin, end),
      MatrixSource<kFetch, T, typename Memory::StageB, threads>(c.w, n, begin, n_end, end),
      stages_of<T>(begin, end));
  memory.gather(sums);
  if (pooling.is_on)
    write_pooled(result, pooling, c.patches.rows, memory.result, m, n, n_end);
  else if (moments.are_wanted())
    write_with_moments(result, moments, c.patches.rows, memory.result, m, n, n_end);
  else
    write_tile(result, memory.result, m, n, result.m, n_end, part);
}

// ------------------------------------------------------------------------------------------------ launchers

/// T: as stored. Sums: of a tile. Rows of w are as long as the depth. What no vectors can fetch passes
/// through small tiles: the sums are the same. Returns where tiles left moments.
template <class T, class Tile, template <class> class Sums>
Partials launch_convolution(const ConvolutionCall& c, const void* w, const Parts& parts, Bytes workspace,
                            Stream stream) {
  const auto result = c.result(parts.count > 1 ? reinterpret_cast<float*>(workspace.data()) : nullptr);
  const Convolution<T> convolution{.patches = c.patches<T>(),
                                   .w = {static_cast<const T*>(w), c.depth()},
                                   .columns = static_cast<int>(c.columns())};
  const auto launch_with = [&]<class Of, Fetch kFetch>() {
    const auto moments = c.moments<Of>(workspace);
    launch({.kernel = "convolve",
            .blocks = {blocks_for(c.tiles<Of>(), 1), static_cast<unsigned>(parts.count),
                       static_cast<unsigned>(c.groups)},
            .threads = threads_of<Of>,
            .shared_bytes = shared_size<ConvolutionMemory<T, Of>, Of::shared_budget>,
            .stream = stream},
           convolve<T, Of, Sums<Of>, kFetch>, convolution, result, c.pooling, moments, parts.depth_per_part);
    return moments.partials;
  };
  const auto left = c.reads_vectors() && is_vector_aligned(w)
                        ? launch_with.template operator()<Tile, Fetch::vectors>()
                        : launch_with.template operator()<SmallTile, Fetch::elements>();
  if (parts.count > 1) add_parts(result, parts, stream);
  return left;
}

using Launcher = Partials (*)(const ConvolutionCall&, const void* w, const Parts&, Bytes workspace, Stream);

struct LauncherOf {
  template <class T, class Tile, template <class> class Sums>
  Launcher operator()() const {
    return launch_convolution<T, Tile, Sums>;
  }
};

// ------------------------------------------------------------------------------------------------- planners

void place(Conv2dForward& c) { make_channels_last(c.x, c.w, c.y); }
void place(Conv2dPoolForward& c) { make_channels_last(c.x, c.w, c.y, c.argmax); }
void place(Conv2dMomentsForward& c) {
  make_channels_last(c.x, c.w, c.y);
  make_row_major(c.mean, c.variance);
}
void place(Conv2dBackwardData& c) { make_channels_last(c.dy, c.w, c.dx); }

void finish(const Conv2dForward& c, Stream stream) { zero_beyond(c.y, c.y_widths, stream); }
void finish(const Conv2dPoolForward&, Stream) {}  // windows know their widths
void finish(const Conv2dBackwardData& c, Stream stream) { zero_beyond(c.dx, c.x_widths, stream); }

template <class Tile, class Call>
Plan<Call> plan_tiles(Call& call, const Selection& selection) {
  constexpr bool is_gradient = std::is_same_v<Call, Conv2dBackwardData>,
                 has_moments = std::is_same_v<Call, Conv2dMomentsForward>;
  place(call);
  const ConvolutionCall c = convolution_of(call);
  refuse_large(c);
  static_assert(Tile::m % most_pooled_pixels == 0);
  const auto parts = c.pooling.is_on || has_moments
                         ? Parts{.count = 1, .depth_per_part = static_cast<int>(c.depth())}
                         : Parts::of(c.tiles<Tile>() * c.groups, c.depth(), selection.multiprocessors);
  // Of a gradient, weights are turned around there first.
  const auto weight_bytes =
      is_gradient ? workspace_aligned(static_cast<std::size_t>(c.w.shape.count()) * size_of(c.w.type)) : 0;
  const MomentsWorkspace moments(c, selection.multiprocessors);
  return {.workspace_bytes =
              weight_bytes + (has_moments ? moments.bytes : parts.bytes(c.rows.count, c.written.shape[1])),
          .run = [=, launch_tiles = with_sums<Tile>(c.read.type, selection.f32_products, LauncherOf{})](
                     const Call& given, Bytes workspace, Stream stream) {
            const auto own = convolution_of(given);
            const void* w = own.w.data;
            if constexpr (is_gradient) {
              arrange_weights(own.w, own.groups, Rows::inputs, workspace.data(), own.depth(), stream);
              w = workspace.data();
            }
            const auto rest = workspace.subspan(weight_bytes);
            const auto left = launch_tiles(own, w, parts, rest, stream);
            if constexpr (has_moments)
              moments.merge(left, given, rest, stream);
            else
              finish(given, stream);
          }};
}

template <class Call>
Plan<Call> plan_large(Call& call, const Selection& selection) {
  const ConvolutionCall c = convolution_of(call);
  refuse_exact(c.read.type, selection.f32_products);
  if (c.depth_c() * static_cast<std::int64_t>(size_of(c.read.type)) % 16 != 0)
    throw Refused("needs channels in whole vectors of 16 bytes, got {}", c.depth_c());
  if (c.columns() <= LargeTile::n / 2)
    throw Refused("needs more than {} channels a group, got {}", LargeTile::n / 2, c.columns());
  if (const auto tiles = c.tiles<LargeTile>() * c.groups; tiles < selection.multiprocessors)
    throw Refused("needs {} tiles of {} x {}, one a multiprocessor, got {}", selection.multiprocessors,
                  LargeTile::m, LargeTile::n, tiles);
  return plan_tiles<LargeTile>(call, selection);
}

constexpr Variant<Conv2dForward> forward_variants[] = {
    {"narrow_64x64", Origin::native, conv2d_narrow},
    {"implicit_128x128", Origin::native, plan_large<Conv2dForward>},
    {"implicit_64x64", Origin::native, plan_tiles<SmallTile, Conv2dForward>},
};
constexpr Variant<Conv2dPoolForward> pool_variants[] = {
    {"narrow_64x64", Origin::native, conv2d_pool_narrow},
    {"implicit_128x128", Origin::native, plan_large<Conv2dPoolForward>},
    {"implicit_64x64", Origin::native, plan_tiles<SmallTile, Conv2dPoolForward>},
};
constexpr Variant<Conv2dMomentsForward> moments_variants[] = {
    {"narrow_64x64", Origin::native, conv2d_moments_narrow},
    {"implicit_128x128", Origin::native, plan_large<Conv2dMomentsForward>},
    {"implicit_64x64", Origin::native, plan_tiles<SmallTile, Conv2dMomentsForward>},
};
constexpr Variant<Conv2dBackwardData> data_variants[] = {
    {"implicit_128x128", Origin::native, plan_large<Conv2dBackwardData>},
    {"implicit_64x64", Origin::native, plan_tiles<SmallTile, Conv2dBackwardData>},
};

}  // namespace

Plan<Conv2dForward> conv2d_forward(Conv2dForward& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<Conv2dForward>("conv2d_forward", forward_variants, call, selection);
}

Plan<Conv2dPoolForward> conv2d_pool_forward(Conv2dPoolForward& call, const Selection& selection) {
  check(call);
  return first_variant<Conv2dPoolForward>("conv2d_pool_forward", pool_variants, call, selection);
}

Plan<Conv2dMomentsForward> conv2d_moments_forward(Conv2dMomentsForward& call, const Selection& selection) {
  check(call);
  return first_variant<Conv2dMomentsForward>("conv2d_moments_forward", moments_variants, call, selection);
}

Plan<Conv2dBackwardData> conv2d_backward_data(Conv2dBackwardData& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<Conv2dBackwardData>("conv2d_backward_data", data_variants, call, selection);
}

}  // namespace SCRAWL_CUDA
