#include "kernels/cpu/parallel.h"

#include <utility>

namespace scrawl::cpu {

using std::chrono::milliseconds;

/// A verdict needs more loops than a scheduler's time slice (3 ms), or threads of another program that spin a
/// few ms more, can blur: with 10 ms, an idle machine was misjudged twice as often. At worst, sharing is
/// tried for 30 ms in 2 s: at 0.7 times the speed of one thread, as beside a busy core, that costs 0.5%.
constexpr Sharing::Clock::duration enough = milliseconds(30), least_rest = milliseconds(30),
                                   most_rest = milliseconds(2000);

/// After so long without a loop, threads may have gone to sleep: what waking them takes says nothing about
/// the loops that follow.
constexpr Sharing::Clock::duration idle = milliseconds(1);

void Sharing::shared(Clock::time_point begun, Clock::time_point ended, std::optional<Clock::duration> alone) {
  const bool awake = begun - std::exchange(ended_, ended) < idle;
  if (!awake || !alone) return;
  took_ += ended - begun;
  alone_ += *alone;
  if (took_ < enough) return;
  const bool paid = 10 * alone_ > 11 * took_;
  rest_ = std::clamp(paid ? rest_ / 2 : rest_ * 2, least_rest, most_rest);
  if (!paid) alone_until_ = ended + rest_;
  took_ = alone_ = {};
}

Sharing& Sharing::current() {
  thread_local Sharing sharing;
  return sharing;
}

}  // namespace scrawl::cpu
