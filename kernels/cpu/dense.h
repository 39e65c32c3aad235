#pragma once
/// Operands whose placement does not matter: elementwise kernels run over memory, whatever lies where.

#include "kernels/cpu/layout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// Elements in memory, padding of opaque layouts included.
inline std::int64_t elements_of(const View& view) {
  return static_cast<std::int64_t>(bytes_of(view) / size_of(view.type));
}

inline Order plain_order(const View& view) {
  return view.shape.rank == 4 ? Order::channels_last : Order::row_major;
}

/// Leaves placements without holes alone (plain or opaque) and asks for a plain one in place of others.
inline void make_dense(View& view) {
  if (!view.layout && !is_plain(view, Order::row_major)) make_plain(view, plain_order(view));
}

/// Asks for the placement that another view of the same shape has.
inline void place_as(View& view, const View& other) {
  view.layout = other.layout;
  view.strides = other.strides;
}

/// Asks for row-major memory, for each operand that is there.
template <class... Views>
void make_row_major(Views&... views) {
  ((views.present() ? make_plain(views, Order::row_major) : void()), ...);
}

/// Calls f(i, count) for [0, elements) in vectors of 16, the last one shorter, on at most `threads` threads.
template <class F>
void each_vector(int threads, std::int64_t elements, F&& f) {
  constexpr std::int64_t worth_a_thread = 16 * 1024;
  parallel_for(threads, elements, worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
    auto i = begin;
    for (; i + lanes <= end; i += lanes) f(i, lanes);
    if (i < end) f(i, static_cast<int>(end - i));
  });
}

}  // namespace scrawl::cpu
