#pragma once
/// How kernels of our own share work among threads, and cut the workspace that they are given.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "kernels/view.h"

namespace scrawl::cpu {

/// Whether sharing loops among threads gains anything at present. When another program keeps a core busy, the
/// caller waits in every loop for a thread that is not running, and two threads are slower than one. Then the
/// same ranges run on the caller alone, and sharing is tried again after a rest that doubles while it fails.
class Sharing {
 public:
  using Clock = std::chrono::steady_clock;

  bool pays(Clock::time_point now) const { return now >= alone_until_; }

  /// A shared loop ended at `now`. It lasted `took`; its ranges, alone and one after the other, would have
  /// lasted `alone`.
  void shared(Clock::time_point now, Clock::duration took, Clock::duration alone);

  /// That of the loops which the calling thread shares.
  static Sharing& current();

 private:
  Clock::time_point alone_until_{};
  Clock::duration took_{}, alone_{}, rest_{};
};

/// Calls f(begin, end) for a partition of [0, count) into at most `threads` ranges, each a multiple of
/// `grain` long but for the last. Which range an index falls into depends on the arguments alone, with OpenMP
/// or without, however many threads run them.
template <class F>
void parallel_for(int threads, std::int64_t count, std::int64_t grain, F&& f) {
  const auto grains = (count + grain - 1) / grain;
  const auto ranges = std::min<std::int64_t>(threads, grains);
  if (ranges <= 1) {
    if (count > 0) f(std::int64_t{0}, count);
    return;
  }
  const auto run = [&](std::int64_t i) {
    f(grains * i / ranges * grain, std::min(grains * (i + 1) / ranges * grain, count));
  };
#ifdef _OPENMP
  using Clock = Sharing::Clock;
  auto& sharing = Sharing::current();
  if (const auto begun = Clock::now(); sharing.pays(begun)) {
    // Other programs make ranges longer, never shorter: the shortest says what one takes undisturbed.
    auto shortest = Clock::duration::max().count();
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1) reduction(min : shortest)
    for (std::int64_t i = 0; i < ranges; ++i) {
      const auto start = Clock::now();
      run(i);
      shortest = std::min(shortest, (Clock::now() - start).count());
    }
    const auto ended = Clock::now();
    return sharing.shared(ended, ended - begun, ranges * Clock::duration(shortest));
  }
#endif
  for (std::int64_t i = 0; i < ranges; ++i) run(i);
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
