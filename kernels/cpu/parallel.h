#pragma once
/// How kernels of our own share work among threads.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "kernels/view.h"
#include "kernels/workspace.h"

namespace scrawl::cpu {

/// Whether sharing loops among threads gains anything at present. When another program keeps a core busy, the
/// caller waits in every loop for a thread that is not running, and two threads are slower than one. Then the
/// same ranges run on the caller alone, and sharing is tried again after a rest: a longer one each time that
/// it fails, a shorter one each time that it gains.
///
/// It is judged by what the ranges cost: the time that their threads ran, which no other program lengthens.
/// To read that takes 0.4 us, so it is done for a while and then left for a while.
class Sharing {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Policy : std::uint8_t { measured, always, never };
  enum class Now : std::uint8_t { alone, shared, shared_and_measured };

  /// What to do with a loop.
  Now now(Clock::time_point) const;

  /// A loop that is measured ran from `begun` to `ended`; its ranges cost `alone`.
  void measured(Clock::time_point begun, Clock::time_point ended, Clock::duration alone);

  /// No result depends on it: tests hold loops to that.
  void set(Policy policy) { policy_ = policy; }

  /// What the calling thread has cost so far. Tests put another clock in its place.
  Clock::duration cost() const { return cost_(); }
  void set_cost(Clock::duration (*cost)()) { cost_ = cost; }

  /// That of the loops which the calling thread shares.
  static Sharing& current();

 private:
  static Clock::duration thread_time();

  Policy policy_ = Policy::measured;
  Clock::duration (*cost_)() = thread_time;
  Clock::time_point alone_until_{}, measured_from_{}, ended_{};
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
  auto& sharing = Sharing::current();
  const auto begun = Sharing::Clock::now();
  const auto now = sharing.now(begun);
  if (now == Sharing::Now::shared) {
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
    for (std::int64_t i = 0; i < ranges; ++i) run(i);
    return;
  }
  if (now == Sharing::Now::shared_and_measured) {
    Sharing::Clock::rep cost = 0;
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1) reduction(+ : cost)
    for (std::int64_t i = 0; i < ranges; ++i) {
      const auto before = sharing.cost();
      run(i);
      cost += (sharing.cost() - before).count();
    }
    return sharing.measured(begun, Sharing::Clock::now(), Sharing::Clock::duration(cost));
  }
#endif
  for (std::int64_t i = 0; i < ranges; ++i) run(i);
}

}  // namespace scrawl::cpu
