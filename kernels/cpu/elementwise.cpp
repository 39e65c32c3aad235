/// Sums, and dropout.
///
/// A draw is named by its element in logical N C H W order, and four neighbours along W share a Philox call.
/// So channel vectors are masked in blocks of 16 channels x 4 pixels, a call a channel; what is contiguous in
/// logical order, 64 elements at a time.

#include "kernels/elementwise.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/philox.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

constexpr int draws_per_call = 4;

void sum(const Add& call, int threads) {
  dispatch_storage(call.a.type, [&]<class T>() {
    const T* const a = call.a.as<T>();
    const T* const b = call.b.as<T>();
    T* const y = call.y.as<T>();
    each_vector(threads, elements_of(call.a), [=](std::int64_t i, int count) {
      store(y + i, load(a + i, count) + load(b + i, count), count);
    });
  });
}

/// What decides, and what it does to an element.
struct Mask {
  PhiloxVectors draw;
  std::uint64_t first_sample;
  std::uint32_t threshold;  ///< kept iff the word is at least this: iff its upper 24 bits / 2^24 >= rate
  float scale;

  explicit Mask(const Dropout& call)
      : draw(call.node, call.seed, static_cast<std::uint32_t>(call.counters.as<const std::int64_t>()[0])),
        first_sample(static_cast<std::uint64_t>(call.counters.as<const std::int64_t>()[1])),
        threshold(static_cast<std::uint32_t>(std::ceil(call.rate * 0x1p24)) << 8),
        scale(static_cast<float>(1.0 / (1.0 - call.rate))) {}

  [[gnu::always_inline]] f32x16 apply(u32x16 word, f32x16 x) const {
    return select(at_least(word, u32x16{} + threshold), x * scale, f32x16{});
  }
};

/// Channel vectors of images with height x width a multiple of 4: pixel p of every channel is then draw p
/// % 4.
template <class T>
void drop_channel_vectors(const Dropout& call, int threads) {
  const Image<T> x(call.x), y(call.y);
  const Mask mask(call);
  const auto blocks = x.vectors.blocks, pixels = x.vectors.height * x.vectors.width;
  parallel_for(threads, x.vectors.images * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto item = begin; item < end; ++item) {
      const auto n = item / blocks, block = item % blocks;
      u32x16 first;  // each channel's first call
      for (int i = 0; i < lanes; ++i)
        first[i] = static_cast<std::uint32_t>((block * lanes + i) * pixels / draws_per_call);
      const Plane<T> from = x.plane(n, block), to = y.plane(n, block);  // dense: a row follows on the other
      for (std::int64_t p = 0; p < pixels; p += draws_per_call) {
        const auto words = mask.draw(mask.first_sample + static_cast<std::uint64_t>(n),
                                     first + static_cast<std::uint32_t>(p / draws_per_call));
        for (int j = 0; j < draws_per_call; ++j)
          to.store(0, p + j, mask.apply(words[j], from.load(0, p + j)));
      }
    }
  });
}

/// Elements of one sample that follow each other in logical order, `step` apart in memory.
struct Run {
  std::int64_t sample, first_element, count, at, step;
};

template <class T>
void drop_run(const Mask& mask, const Run& run, const T* x, T* y) {
  constexpr int draws = draws_per_call * lanes;
  const auto last = run.first_element + run.count;
  for (auto e = run.first_element / draws * draws; e < last; e += draws) {
    const auto words = mask.draw(mask.first_sample + static_cast<std::uint64_t>(run.sample),
                                 (u32x16)lane_numbers() + static_cast<std::uint32_t>(e / draws_per_call));
    std::uint32_t word[draws_per_call][lanes];
    for (int j = 0; j < draws_per_call; ++j) std::memcpy(word[j], &words[j], sizeof word[j]);
    const auto from = std::max(e, run.first_element), to = std::min(e + draws, last);
    for (auto i = from; i < to; ++i) {
      const auto at = run.at + (i - run.first_element) * run.step;
      const bool kept = word[i % draws_per_call][(i - e) / draws_per_call] >= mask.threshold;
      y[at] = kept ? T(static_cast<float>(x[at]) * mask.scale) : T(0.0f);
    }
  }
}

/// Any placement that is row-major or has pixels at a fixed distance.
template <class T>
void drop_runs(const Dropout& call, int threads) {
  const Mask mask(call);
  const auto& shape = call.x.shape;
  const T* const x = call.x.as<T>();
  T* const y = call.y.as<T>();
  if (!is_plain(call.x, Order::row_major)) {  // images, a run a channel
    const Image<T> image(call.x);
    const auto pixels = shape[2] * shape[3];
    const auto channels = image.whole ? image.vectors.blocks * lanes : shape[1];  // padding stays zero
    return parallel_for(threads, shape[0] * channels, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto item = begin; item < end; ++item) {
        const auto n = item / channels, c = item % channels;
        const Plane<T> plane = image.plane(n, c / lanes);
        drop_run(mask, {n, c * pixels, pixels, plane.data - x + c % lanes, plane.pixel_stride}, x, y);
      }
    });
  }
  std::int64_t inner = 1;
  for (int axis = call.sample_axis + 1; axis < shape.rank; ++axis) inner *= shape[axis];
  if (inner == 0) return;
  const auto samples = shape[call.sample_axis];
  parallel_for(threads, shape.count() / inner, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto item = begin; item < end; ++item)
      drop_run(mask, {item % samples, item / samples * inner, inner, item * inner, 1}, x, y);
  });
}

Plan<Add> plan_add(Add& call, const Selection& selection) {
  make_dense(call.a);
  place_as(call.b, call.a);
  place_as(call.y, call.a);
  return {.run = [threads = selection.threads](const Add& c, Bytes, Stream) { sum(c, threads); }};
}

Plan<Dropout> plan_channel_vectors(Dropout& call, const Selection& selection) {
  if (call.x.shape.rank != 4 || call.sample_axis != 0)
    throw Refused("needs images, got {}", to_string(call.x));
  if (call.x.shape[2] * call.x.shape[3] % draws_per_call != 0)
    throw Refused("needs H W % 4 == 0, got {}", call.x.shape[2] * call.x.shape[3]);
  make_readable(call.x);
  place_as(call.y, call.x);
  make_plain(call.counters, Order::row_major);
  return {.run = [threads = selection.threads](const Dropout& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() { drop_channel_vectors<T>(c, threads); });
  }};
}

Plan<Dropout> plan_runs(Dropout& call, const Selection& selection) {
  if (call.x.shape.rank == 4 && call.sample_axis == 0)
    make_readable(call.x);
  else
    make_plain(call.x, Order::row_major);
  place_as(call.y, call.x);
  make_plain(call.counters, Order::row_major);
  return {.run = [threads = selection.threads](const Dropout& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() { drop_runs<T>(c, threads); });
  }};
}

}  // namespace

Plan<Add> add(Add& call, const Selection& selection) {
  static constexpr Variant<Add> variants[] = {{"vector", Origin::native, plan_add}};
  check(call);
  return first_variant<Add>("add", variants, call, selection);
}

Plan<Dropout> dropout(Dropout& call, const Selection& selection) {
  static constexpr Variant<Dropout> variants[] = {{"channel_vectors", Origin::native, plan_channel_vectors},
                                                  {"runs", Origin::native, plan_runs}};
  check(call);
  return first_variant<Dropout>("dropout", variants, call, selection);
}

}  // namespace scrawl::cpu
