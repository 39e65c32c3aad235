/// Sums, and dropout.
///
/// A draw is named by its element in logical order, and four elements that follow each other there share a
/// Philox call: a lane does those four. Lanes take them in the order in which they lie in memory: across the
/// channels of NHWC images, whose pixels share no call.

#include "kernels/elementwise.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/planners.h"
#include "kernels/random.h"

namespace SCRAWL_CUDA {

namespace {

template <class T>
struct AddElements {
  static constexpr int vector = full_vector<T>;
  const T *a, *b;
  T* y;

  template <int N>
  struct Loaded {
    Stored<T, N> a, b;
  };

  template <int N>
  SCRAWL_DEVICE Loaded<N> load(std::int64_t i) const {
    return {load_stored<N>(a + i), load_stored<N>(b + i)};
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Loaded<N>& loaded) const {
    auto sum = to_floats(loaded.a);
    const auto addend = to_floats(loaded.b);
#pragma unroll
    for (int j = 0; j < N; ++j) sum[j] += addend[j];
    store_floats(y + i, sum);
  }
};

// ------------------------------------------------------------------------------------------------ dropout

struct Drop {
  static constexpr int threads = 256, draws = 4;  ///< of a Philox call
};

/// Element e of sample n is (n, e / inner, e % inner), and where it lies.
struct Samples {
  std::int64_t samples = 1, outer = 1, inner = 1;
  std::int64_t sample_stride = 0, outer_stride = 0, inner_stride = 1;
  bool is_across = false;  ///< whether lanes go across the outer axis

  std::int64_t elements() const { return outer * inner; }
  std::int64_t calls() const { return samples * ((elements() + Drop::draws - 1) / Drop::draws); }
};

struct Draw {
  std::uint32_t seed, node;
  std::uint32_t threshold;  ///< kept iff the word is at least this: iff its upper 24 bits / 2^24 >= rate
  float scale;
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Drop::threads) void drop(Draw draw, Samples of, const std::int64_t* counters,
                                                      const T* x, T* y, std::int64_t calls, bool in_vectors) {
  const auto call = std::int64_t{block_index().x} * Drop::threads + thread_index();
  if (call >= calls) return;
  const auto elements = of.outer * of.inner;
  std::int64_t n, e;  // the sample, and the first element of the call
  if (of.is_across) {
    const auto row = call / of.outer, rows = of.inner / Drop::draws;
    n = row / rows;
    e = call % of.outer * of.inner + row % rows * Drop::draws;
  } else {
    const auto calls_of_sample = (elements + Drop::draws - 1) / Drop::draws;
    n = call / calls_of_sample;
    e = call % calls_of_sample * Drop::draws;
  }
  const auto sample = static_cast<std::uint64_t>(counters[1]) + static_cast<std::uint64_t>(n);
  const auto words = philox({static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32),
                             static_cast<std::uint32_t>(e / Drop::draws), draw.node},
                            {draw.seed, static_cast<std::uint32_t>(counters[0])});
  const auto dropped = [&](int j, float value) {
    return words[j] >= draw.threshold ? value * draw.scale : 0;
  };

  auto outer = e / of.inner, inner = e % of.inner;
  const auto start = n * of.sample_stride;
  if (in_vectors) {
    const auto at = start + outer * of.outer_stride + inner;
    auto values = to_floats(load_stored<Drop::draws>(x + at));
#pragma unroll
    for (int j = 0; j < Drop::draws; ++j) values[j] = dropped(j, values[j]);
    store_floats(y + at, values);
    return;
  }
#pragma unroll
  for (int j = 0; j < Drop::draws; ++j) {
    if (e + j >= elements) return;
    const auto at = start + outer * of.outer_stride + inner * of.inner_stride;
    y[at] = from_float<T>(dropped(j, to_float(x[at])));
    if (++inner == of.inner) {
      inner = 0;
      ++outer;
    }
  }
}

/// Of a row-major tensor, or of NHWC images.
Samples samples_of(const Dropout& call) {
  const Shape& shape = call.x.shape;
  if (!is_plain(call.x, Order::row_major)) {
    const auto n = shape[0], c = shape[1], pixels = shape[2] * shape[3];
    return {.samples = n,
            .outer = c,
            .inner = pixels,
            .sample_stride = c * pixels,
            .outer_stride = 1,
            .inner_stride = c,
            .is_across = pixels % Drop::draws == 0};
  }
  Samples of{.samples = shape[call.sample_axis]};
  for (int axis = 0; axis < shape.rank; ++axis) {
    if (axis < call.sample_axis) of.outer *= shape[axis];
    if (axis > call.sample_axis) of.inner *= shape[axis];
  }
  of.sample_stride = of.inner;
  of.outer_stride = of.samples * of.inner;
  return of;
}

Draw draw_of(const Dropout& call) {
  return {.seed = call.seed,
          .node = call.node,
          .threshold = static_cast<std::uint32_t>(std::ceil(call.rate * 0x1p24)) << 8,
          .scale = static_cast<float>(1.0 / (1.0 - call.rate))};
}

// ---------------------------------------------------------------------------------------------- launchers

Plan<Add> plan_add(Add& call, const Selection&) {
  make_dense(call.a);
  place_as(call.b, call.a);
  place_as(call.y, call.a);
  return {.run = [](const Add& c, Bytes, Stream stream) {
    dispatch_storage(c.a.type, [&]<class T>() {
      const AddElements<T> sum{.a = c.a.as<const T>(), .b = c.b.as<const T>(), .y = c.y.as<T>()};
      launch_elementwise("add", sum, c.a.shape.count(), are_vector_aligned(c.a, c.b, c.y), stream);
    });
  }};
}

Plan<Dropout> plan_dropout(Dropout& call, const Selection&) {
  if (call.sample_axis == 0)
    make_dense(call.x);
  else
    make_row_major(call.x);
  place_as(call.y, call.x);
  make_row_major(call.counters);
  return {.run = [](const Dropout& c, Bytes, Stream stream) {
    const auto of = samples_of(c);
    const bool in_vectors =
        of.inner_stride == 1 && of.inner % Drop::draws == 0 && are_vector_aligned(c.x, c.y);
    dispatch_storage(c.x.type, [&]<class T>() {
      launch({.kernel = "dropout",
              .blocks = {blocks_for(of.calls(), Drop::threads)},
              .threads = Drop::threads,
              .stream = stream},
             drop<T>, draw_of(c), of, c.counters.as<const std::int64_t>(), c.x.as<const T>(), c.y.as<T>(),
             of.calls(), in_vectors);
    });
  }};
}

}  // namespace

Plan<Add> add(Add& call, const Selection& selection) {
  static constexpr Variant<Add> variants[] = {{"flat", Origin::native, plan_add}};
  check(call);
  return first_variant<Add>("add", variants, call, selection);
}

Plan<Dropout> dropout(Dropout& call, const Selection& selection) {
  static constexpr Variant<Dropout> variants[] = {{"calls", Origin::native, plan_dropout}};
  check(call);
  return first_variant<Dropout>("dropout", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
