#pragma once
/// How kernels of our own share work among threads, and cut the workspace that they are given.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "kernels/view.h"

namespace scrawl::cpu {

/// Whether sharing loops among threads gains anything at present. When another program keeps a core busy, the
/// caller waits in every loop for a thread that is not running, and two threads are slower than one. Then the
/// same ranges run on the caller alone, and sharing is tried again after a rest: a longer one each time that
/// it fails, a shorter one each time that it gains.
class Sharing {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Policy : std::uint8_t { measured, always, never };

  bool pays(Clock::time_point now) const {
    return policy_ == Policy::measured ? now >= alone_until_ : policy_ == Policy::always;
  }

  /// A shared loop ran from `begun` to `ended`; its ranges, alone and one after the other, would have taken
  /// `alone`, if that is known.
  void shared(Clock::time_point begun, Clock::time_point ended, std::optional<Clock::duration> alone);

  /// No result depends on it: tests hold loops to that.
  void set(Policy policy) { policy_ = policy; }

  /// That of the loops which the calling thread shares.
  static Sharing& current();

 private:
  Policy policy_ = Policy::measured;
  Clock::time_point alone_until_{}, ended_{};
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
  const auto begin_of = [&](std::int64_t i) { return std::min(grains * i / ranges * grain, count); };
#ifdef _OPENMP
  using Clock = Sharing::Clock;
  auto& sharing = Sharing::current();
  if (const auto begun = Clock::now(); sharing.pays(begun)) {
    // Other programs make ranges longer, never shorter: the fastest says what an index takes undisturbed.
    auto each = std::numeric_limits<double>::infinity();
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1) reduction(min : each)
    for (std::int64_t i = 0; i < ranges; ++i) {
      const auto start = Clock::now();
      f(begin_of(i), begin_of(i + 1));
      each = std::min(each, static_cast<double>((Clock::now() - start).count()) /
                                static_cast<double>(begin_of(i + 1) - begin_of(i)));
    }
    // Single indices, as of loops over threads, may differ in work: of those nothing is known.
    std::optional<Clock::duration> alone;
    if (count > ranges) alone = Clock::duration(static_cast<Clock::rep>(each * static_cast<double>(count)));
    return sharing.shared(begun, Clock::now(), alone);
  }
#endif
  for (std::int64_t i = 0; i < ranges; ++i) f(begin_of(i), begin_of(i + 1));
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
