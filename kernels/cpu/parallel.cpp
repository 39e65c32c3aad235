#include "kernels/cpu/parallel.h"

#include <time.h>

#include <utility>

namespace scrawl::cpu {

using std::chrono::milliseconds;

/// A verdict needs more loops than a scheduler's time slice (3 ms), or threads of another program that spin a
/// few ms more, can blur: with 10 ms, an idle machine was misjudged twice as often. Beside a busy core,
/// sharing at 0.7 times the speed of one thread is tried for 30 ms of loops in 2 s: that costs 0.5%.
constexpr Sharing::Clock::duration enough = milliseconds(30), least_rest = milliseconds(30),
                                   most_rest = milliseconds(2000), unmeasured = milliseconds(200);

/// After so long without a loop, threads may have gone to sleep: what waking them takes says nothing about
/// the loops that follow.
constexpr Sharing::Clock::duration idle = milliseconds(1);

Sharing::Now Sharing::now(Clock::time_point time) const {
  if (policy_ == Policy::always) return Now::shared;
  if (policy_ == Policy::never || time < alone_until_) return Now::alone;
  return time < measured_from_ ? Now::shared : Now::shared_and_measured;
}

void Sharing::measured(Clock::time_point begun, Clock::time_point ended, Clock::duration alone) {
  const bool awake = begun - std::exchange(ended_, ended) < idle;
  if (!awake) return;
  took_ += ended - begun;
  alone_ += alone;
  if (took_ < enough) return;
  const bool paid = 10 * alone_ > 11 * took_;
  rest_ = std::clamp(paid ? rest_ / 2 : rest_ * 2, least_rest, most_rest);
  (paid ? measured_from_ : alone_until_) = ended + (paid ? unmeasured : rest_);
  took_ = alone_ = {};
}

Sharing::Clock::duration Sharing::thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Sharing& Sharing::current() {
  thread_local Sharing sharing;
  return sharing;
}

}  // namespace scrawl::cpu
