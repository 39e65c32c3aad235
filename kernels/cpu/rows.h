#pragma once
/// Rows of classes, 16 at a time: what softmax, cross-entropy and CTC share.

#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// Calls f(k, count) for the vectors of a row, the last one shorter.
template <class F>
[[gnu::always_inline]] inline void each_vector_of_row(std::int64_t classes, F&& f) {
  std::int64_t k = 0;
  for (; k + lanes <= classes; k += lanes) f(k, lanes);
  if (k < classes) f(k, static_cast<int>(classes - k));
}

/// `x` with -inf beyond its first `count` lanes, where exp is 0.
[[gnu::always_inline]] inline f32x16 or_never(f32x16 x, int count) {
  return select(first_lanes(count), x, broadcast(-std::numeric_limits<float>::infinity()));
}

/// What makes logits probabilities: p = exp(x - largest) / sum.
struct RowScale {
  float largest, sum;
};

/// load(k, count) gives classes k to k + count. A NaN, a +inf or nothing but -inf in the row gives a NaN sum.
template <class Load>
[[gnu::always_inline]] inline RowScale row_scale(std::int64_t classes, Load load) {
  f32x16 most = broadcast(-std::numeric_limits<float>::infinity()), sums{};
  each_vector_of_row(classes,
                     [&](std::int64_t k, int count) { most = max(most, or_never(load(k, count), count)); });
  const float top = largest(most);
  each_vector_of_row(classes,
                     [&](std::int64_t k, int count) { sums += exp(or_never(load(k, count), count) - top); });
  return {top, sum(sums)};
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
