#pragma once
/// What the host and the device did in a training step, and why the device did nothing in between.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/graph/program.h"

namespace scrawl::bench {

/// Microseconds of steady_us().
struct Interval {
  double begin = 0, end = 0;
  double us() const { return end - begin; }
};

struct CallTimes {
  const PlannedStep* call = nullptr;
  Interval host;    ///< queues it; where work is done at its call, does it
  Interval device;  ///< does it, and waits for the rest of it to be queued if the host is late
};

/// One step, on the host's clock.
struct StepTimes {
  Interval step;  ///< begins and ends with nothing queued
  Interval data;  ///< the host waits for a batch and copies it to the device
  Interval wait;  ///< the host has queued everything and waits for the device
  std::vector<CallTimes> calls;
};

/// Why the device does nothing.
enum class Gap : std::uint8_t {
  host,    ///< nothing is queued: the host is busy with something else
  launch,  ///< the next call is queued and has not begun
  data,    ///< the batch is waited for, or copied
  idle,    ///< the last call has ended, and the host has not noticed yet
};
inline constexpr Gap all_gaps[] = {Gap::host, Gap::launch, Gap::data, Gap::idle};

std::string_view name_of(Gap);

struct GapInterval {
  Gap why;
  Interval interval;
};

/// What lies between the calls of a step: with them it fills the step, without overlaps.
std::vector<GapInterval> gaps_of(const StepTimes&);

/// Watches the calls of steps.
class Recorder final : public CallWatch {
 public:
  explicit Recorder(std::unique_ptr<Marks> marks) : marks_(std::move(marks)) {}

  void before(const PlannedStep&) override;
  void after(const PlannedStep&) override;

  /// The calls since the last time, completing a step whose other intervals are known. Waits for them. Two
  /// clocks never agree to the last microsecond: calls are cut to what lies within the step and behind the
  /// call before them.
  StepTimes take(StepTimes);

 private:
  std::unique_ptr<Marks> marks_;
  std::vector<CallTimes> calls_;
};

}  // namespace scrawl::bench
