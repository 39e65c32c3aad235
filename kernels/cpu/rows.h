#pragma once
/// Rows of classes, 16 at a time: what softmax, cross-entropy and CTC share.

#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// Calls f.template operator()<kVectors>() with a number of vectors that holds a row in registers, else with
/// 0.
template <class F>
void dispatch_width(std::int64_t classes, F&& f) {
  if (classes <= lanes) return f.template operator()<1>();
  if (classes <= 2 * lanes) return f.template operator()<2>();
  if (classes <= 4 * lanes) return f.template operator()<4>();
  if (classes <= 8 * lanes) return f.template operator()<8>();
  return f.template operator()<0>();
}

/// Calls f(k, count) for the vectors of a row, the last ones shorter. kVectors is their number, empty ones
/// included, or 0 for any.
template <int kVectors = 0, class F>
[[gnu::always_inline]] inline void each_vector_of_row(std::int64_t classes, F&& f) {
  if constexpr (kVectors > 0) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      f(v * lanes, std::clamp(static_cast<int>(classes) - v * lanes, 0, lanes));
  } else {
    std::int64_t k = 0;
    for (; k + lanes <= classes; k += lanes) f(k, lanes);
    if (k < classes) f(k, static_cast<int>(classes - k));
  }
}

/// `x` with -inf beyond its first `count` lanes, where exp is 0.
[[gnu::always_inline]] inline f32x16 or_never(f32x16 x, int count) {
  return select(first_lanes(count), x, broadcast(-std::numeric_limits<float>::infinity()));
}

/// What makes logits probabilities: p = exp(x - largest) / sum.
struct RowScale {
  float largest, sum;
};

/// exp(x - largest) of a row, and their sum: what softmax is made of. load(k, count) gives classes k to
/// k + count. A NaN, a +inf or nothing but -inf in the row gives a NaN sum.
template <int kVectors, class Load>
class Exponentials {
 public:
  [[gnu::always_inline]] Exponentials(std::int64_t classes, Load load) : load_(load) {
    f32x16 most = broadcast(-std::numeric_limits<float>::infinity()), sums{};
    each_vector_of_row<kVectors>(classes, [&](std::int64_t k, int count) {
      const f32x16 x = or_never(load(k, count), count);
      if constexpr (kVectors > 0) held_[k / lanes] = x;
      most = max(most, x);
    });
    largest = cpu::largest(most);
    each_vector_of_row<kVectors>(classes, [&](std::int64_t k, int count) {
      if constexpr (kVectors > 0)
        sums += held_[k / lanes] = exp(held_[k / lanes] - largest);
      else
        sums += exp(or_never(load(k, count), count) - largest);
    });
    sum = cpu::sum(sums);
  }

  [[gnu::always_inline]] f32x16 operator()(std::int64_t k, int count) const {
    if constexpr (kVectors > 0) return held_[k / lanes];
    return exp(load_(k, count) - largest);
  }

  float largest, sum;

 private:
  Load load_;
  f32x16 held_[kVectors > 0 ? kVectors : 1];
};

template <int kVectors, class Load>
[[gnu::always_inline]] inline Exponentials<kVectors, Load> exponentials(std::int64_t classes, Load load) {
  return {classes, load};
}

/// Calls f(row) for every row, on as many threads as the work is worth.
template <class F>
void each_row_of(std::int64_t rows, std::int64_t classes, int threads, F&& f) {
  constexpr std::int64_t worth_a_thread = 4096;  // elements
  parallel_for(threads, rows, std::max<std::int64_t>(1, worth_a_thread / std::max<std::int64_t>(classes, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (auto row = begin; row < end; ++row) f(row);
               });
}

}  // namespace scrawl::cpu
