#include "kernels/cpu/parallel.h"

namespace scrawl::cpu {

using std::chrono::milliseconds;

/// A verdict needs more loops than a scheduler's time slice (3 ms) can blur. At worst, sharing is tried for
/// 10 ms in 1.3 s: at 0.7 times the speed of one thread, as beside a busy core, that costs 0.3%. An
/// interruption of an idle machine costs 20 ms.
constexpr Sharing::Clock::duration enough = milliseconds(10), least_rest = milliseconds(20),
                                   most_rest = milliseconds(1280);

void Sharing::shared(Clock::time_point now, Clock::duration took, Clock::duration alone) {
  took_ += took;
  alone_ += alone;
  if (took_ < enough) return;
  const bool paid = 10 * alone_ > 11 * took_;
  rest_ = std::clamp(paid ? rest_ / 2 : rest_ * 2, least_rest, most_rest);
  if (!paid) alone_until_ = now + rest_;
  took_ = alone_ = {};
}

Sharing& Sharing::current() {
  thread_local Sharing sharing;
  return sharing;
}

}  // namespace scrawl::cpu
