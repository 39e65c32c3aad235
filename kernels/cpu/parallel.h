#pragma once
/// How kernels of our own share work among threads, and cut the workspace that they are given.

#include <algorithm>
#include <cstdint>

#include "kernels/view.h"

namespace scrawl::cpu {

/// Calls f(begin, end) for a partition of [0, count) into at most `threads` ranges, each a multiple of
/// `grain` long but for the last. Which range an index falls into depends on the arguments alone, with OpenMP
/// or without.
template <class F>
void parallel_for(int threads, std::int64_t count, std::int64_t grain, F&& f) {
  const auto grains = (count + grain - 1) / grain;
  const auto ranges = std::min<std::int64_t>(threads, grains);
  if (ranges <= 1) {
    if (count > 0) f(std::int64_t{0}, count);
    return;
  }
#ifdef _OPENMP
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
#endif
  for (std::int64_t i = 0; i < ranges; ++i)
    f(grains * i / ranges * grain, std::min(grains * (i + 1) / ranges * grain, count));
}

/// Cuts a workspace into arrays, each on a 64-byte boundary. Made without a workspace it only counts bytes,
/// so that one function says what a kernel needs, to its planner and to itself.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(Bytes bytes) : begin_(bytes.data()) {}

  template <class T>
  T* take(std::int64_t count) {
    T* const array = begin_ ? reinterpret_cast<T*>(begin_ + taken_) : nullptr;
    taken_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return array;
  }

  std::size_t bytes() const { return taken_; }

 private:
  std::byte* begin_ = nullptr;
  std::size_t taken_ = 0;
};

}  // namespace scrawl::cpu
