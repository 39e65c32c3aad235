/// Copies and rearrangements, all of which are copies between strides: a sequence (T,N,C H) is an image whose
/// width is the outermost axis, a flattened image is a row-major one. Memory in one order is gone over flat.
/// Where the axis that lies together in x is not the one in y, tiles of both pass through shared memory, so
/// that lanes read and write neighbours. Everything else goes element by element, in y's order.

#include <algorithm>
#include <bit>

#include "kernels/check.h"
#include "kernels/cuda/axes.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/planners.h"
#include "kernels/elementwise.h"

namespace SCRAWL_CUDA {

namespace {

/// y = x scale + offset, in one rounding. An offset of -0 leaves 0 and -0 as they are.
struct Affine {
  float scale, offset;

  explicit Affine(const Copy& call) : scale(call.scale), offset(call.offset == 0 ? -0.0f : call.offset) {}
  SCRAWL_DEVICE float operator()(float x) const { return fmaf(x, scale, offset); }
};

bool moves_bits(const Copy& call) {
  return call.x.type == call.y.type && call.scale == 1 && call.offset == 0;
}

// --------------------------------------------------------------------------------------------------- flat

template <class From, class To>
struct Convert {
  static constexpr int vector = std::min(full_vector<From>, full_vector<To>);
  Affine affine;
  const From* x;
  To* y;

  template <int N>
  SCRAWL_DEVICE Stored<From, N> load(std::int64_t i) const {
    return load_stored<N>(x + i);
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<From, N>& loaded) const {
    auto values = to_floats(loaded);
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = affine(values[j]);
    store_floats(y + i, values);
  }
};

/// Of elements of any type, by their size: T is unsigned.
template <class T>
struct Move {
  static constexpr int vector = full_vector<T>;
  const T* x;
  T* y;

  template <int N>
  SCRAWL_DEVICE Stored<T, N> load(std::int64_t i) const {
    return load_stored<N>(x + i);
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<T, N>& loaded) const {
    store_stored(y + i, loaded);
  }
};

template <class T>
void move(const Copy& c, Stream stream) {
  launch_elementwise("copy", Move<T>{.x = c.x.as<const T>(), .y = c.y.as<T>()}, c.x.shape.count(),
                     are_vector_aligned(c.x, c.y), stream);
}

void move_flat(const Copy& c, Stream stream) {
  switch (size_of(c.x.type)) {
    case 1:
      return move<std::uint8_t>(c, stream);
    case 2:
      return move<std::uint16_t>(c, stream);
    default:
      return move<std::uint32_t>(c, stream);
  }
}

template <class From>
void convert_flat(const Copy& c, Stream stream) {
  dispatch_storage(c.y.type, [&]<class To>() {
    const Convert<From, To> convert{.affine = Affine(c), .x = c.x.as<const From>(), .y = c.y.as<To>()};
    launch_elementwise("copy_converted", convert, c.x.shape.count(), are_vector_aligned(c.x, c.y), stream);
  });
}

void copy_flat(const Copy& c, Stream stream) {
  if (moves_bits(c)) return move_flat(c, stream);
  if (c.x.type == DType::u8) return convert_flat<std::uint8_t>(c, stream);
  dispatch_storage(c.x.type, [&]<class From>() { convert_flat<From>(c, stream); });
}

// ------------------------------------------------------------------------------------------------ strided

/// Memory whose type the launch knows: a uniform branch an element, and one kernel for all types.
struct Elements {
  void* data;
  DType type;

  /// Element i as it is stored: what turns it into a number must wait for the load.
  SCRAWL_DEVICE std::uint32_t bits(std::int64_t i) const {
    switch (type) {
      case DType::bf16:
      case DType::f16:
        return static_cast<const std::uint16_t*>(data)[i];
      case DType::u8:
        return static_cast<const std::uint8_t*>(data)[i];
      default:
        return static_cast<const std::uint32_t*>(data)[i];
    }
  }
  SCRAWL_DEVICE float value(std::uint32_t bits) const {
    switch (type) {
      case DType::bf16:
        return to_float(std::bit_cast<bf16>(static_cast<std::uint16_t>(bits)));
      case DType::f16:
        return to_float(std::bit_cast<f16>(static_cast<std::uint16_t>(bits)));
      case DType::u8:
        return static_cast<float>(bits);
      default:
        return std::bit_cast<float>(bits);
    }
  }
  SCRAWL_DEVICE void set(std::int64_t i, float value) const {
    switch (type) {
      case DType::bf16:
        static_cast<bf16*>(data)[i] = from_float<bf16>(value);
        return;
      case DType::f16:
        static_cast<f16*>(data)[i] = from_float<f16>(value);
        return;
      case DType::u8:
        static_cast<std::uint8_t*>(data)[i] = static_cast<std::uint8_t>(value);
        return;
      default:
        static_cast<float*>(data)[i] = value;
    }
  }
};

Elements elements_of(const View& view) { return {.data = view.data, .type = view.type}; }

struct Strided {
  static constexpr int threads = 256, in_flight = 4;
};

SCRAWL_KERNEL SCRAWL_THREADS(Strided::threads) void copy_strided(Affine affine, Axes axes, Elements x,
                                                                 Elements y, std::int64_t count) {
  const auto first = std::int64_t{block_index().x} * (Strided::threads * Strided::in_flight) + thread_index();
  std::uint32_t bits[Strided::in_flight] = {};
  std::int64_t to[Strided::in_flight] = {};
#pragma unroll
  for (int j = 0; j < Strided::in_flight; ++j) {
    auto rest = first + j * Strided::threads;
    if (rest >= count) continue;
    std::int64_t from = 0;
#pragma unroll
    for (int axis = max_rank - 1; axis >= 0; --axis) {
      if (axis >= axes.rank) continue;
      const auto at = axis == 0 ? rest : rest % axes.extents[axis];
      from += at * axes.x_strides[axis];
      to[j] += at * axes.y_strides[axis];
      rest /= axes.extents[axis];
    }
    bits[j] = x.bits(from);
  }
#pragma unroll
  for (int j = 0; j < Strided::in_flight; ++j)
    if (first + j * Strided::threads < count) y.set(to[j], affine(x.value(bits[j])));
}

// -------------------------------------------------------------------------------------------------- tiled

/// 2^a_bits elements of axis a, the innermost of x, by 2^b_bits of axis b, the innermost of y.
struct Tile {
  static constexpr int threads = 256, bits = 12, most_b_bits = 6, in_flight = 4;
  int a, b;
  int a_bits, b_bits;
  std::int64_t a_tiles, b_tiles;

  SCRAWL_DEVICE int a_width() const { return 1 << a_bits; }
  SCRAWL_DEVICE int b_width() const { return 1 << b_bits; }
  /// Where element (i, j) of axes a and b lies in shared memory: neighbours of either in different banks.
  SCRAWL_DEVICE int at(int i, int j) const { return j * (a_width() + 1) + i; }
  std::size_t shared_bytes() const {
    return ((std::size_t{1} << (a_bits + b_bits)) + (std::size_t{1} << b_bits)) * sizeof(float);
  }
};

Tile tile_of(const Axes& axes) {
  Tile tile{};
  tile.b = axes.rank - 1;
  for (int axis = 0; axis < axes.rank; ++axis)
    if (axes.x_strides[axis] < axes.x_strides[tile.a]) tile.a = axis;
  const auto bits = [](std::int64_t extent) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(extent - 1)));
  };
  tile.b_bits = std::min(bits(axes.extents[tile.b]), Tile::most_b_bits);
  tile.a_bits = std::min(bits(axes.extents[tile.a]), Tile::bits - tile.b_bits);
  tile.a_tiles = ((axes.extents[tile.a] - 1) >> tile.a_bits) + 1;
  tile.b_tiles = ((axes.extents[tile.b] - 1) >> tile.b_bits) + 1;
  return tile;
}

SCRAWL_KERNEL SCRAWL_THREADS(Tile::threads) void copy_tiled(Affine affine, Axes axes, Tile tile, Elements x,
                                                            Elements y) {
  auto* const values = &shared_memory<float>();
  auto rest = std::int64_t{block_index().x};
  const auto first_a = rest % tile.a_tiles << tile.a_bits;
  rest /= tile.a_tiles;
  const auto first_b = rest % tile.b_tiles << tile.b_bits;
  rest /= tile.b_tiles;
  std::int64_t from = 0, to = 0, a_extent = 1, a_from = 0, a_to = 0, b_extent = 1, b_from = 0, b_to = 0;
#pragma unroll
  for (int axis = max_rank - 1; axis >= 0; --axis) {
    if (axis >= axes.rank) continue;
    const auto extent = axes.extents[axis], x_stride = axes.x_strides[axis], y_stride = axes.y_strides[axis];
    auto at = std::int64_t{0};
    if (axis == tile.a) {
      at = first_a;
      a_extent = extent, a_from = x_stride, a_to = y_stride;
    } else if (axis == tile.b) {
      at = first_b;
      b_extent = extent, b_from = x_stride, b_to = y_stride;
    } else {
      at = rest % extent;
      rest /= extent;
    }
    from += at * x_stride;
    to += at * y_stride;
  }
  const int elements = 1 << (tile.a_bits + tile.b_bits);
  const auto is_there = [&](int e, int i, int j) {
    return e < elements && first_a + i < a_extent && first_b + j < b_extent;
  };
  for (int start = thread_index(); start < elements; start += Tile::threads * Tile::in_flight) {
    std::uint32_t bits[Tile::in_flight] = {};
#pragma unroll
    for (int n = 0; n < Tile::in_flight; ++n) {
      const int e = start + n * Tile::threads, i = e & (tile.a_width() - 1), j = e >> tile.a_bits;
      if (is_there(e, i, j)) bits[n] = x.bits(from + i * a_from + j * b_from);
    }
#pragma unroll
    for (int n = 0; n < Tile::in_flight; ++n) {
      const int e = start + n * Tile::threads, i = e & (tile.a_width() - 1), j = e >> tile.a_bits;
      if (is_there(e, i, j)) values[tile.at(i, j)] = affine(x.value(bits[n]));
    }
  }
  sync_block();
  for (int e = thread_index(); e < elements; e += Tile::threads) {
    const int i = e >> tile.b_bits, j = e & (tile.b_width() - 1);
    if (is_there(e, i, j)) y.set(to + i * a_to + j * b_to, values[tile.at(i, j)]);
  }
}

// ---------------------------------------------------------------------------------------------- launchers

void refuse_opaque(const Copy& call) {
  if (call.x.layout || call.y.layout) throw Refused("needs strides, got an opaque layout");
}

Plan<Copy> plan_flat(Copy& call, const Selection&) {
  refuse_opaque(call);
  if (call.x.shape.count() > 0) {
    const Axes axes = axes_of(call.x, call.y);
    if (axes.rank != 1 || axes.x_strides[0] != 1 || axes.y_strides[0] != 1)
      throw Refused("needs x and y in one order, without holes");
  }
  return {.run = [](const Copy& c, Bytes, Stream stream) { copy_flat(c, stream); }};
}

Plan<Copy> plan_tiled(Copy& call, const Selection&) {
  refuse_opaque(call);
  const Axes axes = axes_of(call.x, call.y);
  const Tile tile = tile_of(axes);
  if (tile.a == tile.b) throw Refused("needs different innermost axes in x and y");
  const auto tiles =
      call.x.shape.count() / axes.extents[tile.a] / axes.extents[tile.b] * tile.a_tiles * tile.b_tiles;
  return {.run = [=](const Copy& c, Bytes, Stream stream) {
    launch({.kernel = "copy_tiled",
            .blocks = {blocks_for(tiles, 1)},
            .threads = Tile::threads,
            .shared_bytes = tile.shared_bytes(),
            .stream = stream},
           copy_tiled, Affine(c), axes, tile, elements_of(c.x), elements_of(c.y));
  }};
}

Plan<Copy> plan_strided(Copy& call, const Selection&) {
  refuse_opaque(call);
  return {.run = [axes = axes_of(call.x, call.y)](const Copy& c, Bytes, Stream stream) {
    const auto count = c.x.shape.count();
    launch({.kernel = "copy_strided",
            .blocks = {blocks_for(count, Strided::threads * Strided::in_flight)},
            .threads = Strided::threads,
            .stream = stream},
           copy_strided, Affine(c), axes, elements_of(c.x), elements_of(c.y), count);
  }};
}

constexpr Variant<Copy> copy_variants[] = {
    {"flat", Origin::native, plan_flat},
    {"tiled", Origin::native, plan_tiled},
    {"strided", Origin::native, plan_strided},
};

/// The image whose elements lie where those of the sequence (T,N,C H) lie.
View as_image(const View& sequence, const Shape& image) {
  const auto n = image[0], c = image[1], h = image[2];
  View view{.data = sequence.data, .type = sequence.type, .shape = image};
  view.strides = {c * h, h, 1, n * c * h};
  return view;
}

/// The row-major image whose elements lie where those of the matrix (N, C H W) lie.
View unflattened(const View& matrix, const Shape& image) {
  return make_view(matrix.data, matrix.type, image, Order::row_major);
}

/// A call that is a copy of images in disguise: `as_copy` takes the disguise off.
template <class Call, class AsCopy>
Plan<Call> plan_as_copy(std::string_view operation, Call& call, const Selection& selection, AsCopy as_copy) {
  Copy inner = as_copy(call);
  auto plan = first_variant<Copy>(operation, copy_variants, inner, selection);
  return {.variant = plan.variant,
          .run = [run = plan.run, as_copy](const Call& c, Bytes workspace,
                                           Stream stream) { run(as_copy(c), workspace, stream); },
          .refused = plan.refused};
}

}  // namespace

Plan<Copy> copy(Copy& call, const Selection& selection) {
  check(call);
  return first_variant<Copy>("copy", copy_variants, call, selection);
}

Plan<ImageToSequence> image_to_sequence(ImageToSequence& call, const Selection& selection) {
  check(call);
  make_row_major(call.y);
  return plan_as_copy("image_to_sequence", call, selection,
                      [](const ImageToSequence& c) { return Copy{.x = c.x, .y = as_image(c.y, c.x.shape)}; });
}

Plan<SequenceToImage> sequence_to_image(SequenceToImage& call, const Selection& selection) {
  check(call);
  make_row_major(call.x);
  return plan_as_copy("sequence_to_image", call, selection,
                      [](const SequenceToImage& c) { return Copy{.x = as_image(c.x, c.y.shape), .y = c.y}; });
}

Plan<Flatten> flatten(Flatten& call, const Selection& selection) {
  check(call);
  make_row_major(call.y);
  return plan_as_copy("flatten", call, selection,
                      [](const Flatten& c) { return Copy{.x = c.x, .y = unflattened(c.y, c.x.shape)}; });
}

Plan<Unflatten> unflatten(Unflatten& call, const Selection& selection) {
  check(call);
  make_row_major(call.x);
  return plan_as_copy("unflatten", call, selection,
                      [](const Unflatten& c) { return Copy{.x = unflattened(c.x, c.y.shape), .y = c.y}; });
}

}  // namespace SCRAWL_CUDA
