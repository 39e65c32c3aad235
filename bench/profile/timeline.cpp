#include "bench/profile/timeline.h"

#include <algorithm>
#include <utility>

#include "kernels/error.h"

namespace scrawl::bench {
namespace {

/// Cuts `rest` at `end`, and calls what lies before it by its name.
void take_until(double end, Gap why, Interval& rest, std::vector<GapInterval>& gaps) {
  const double until = std::clamp(end, rest.begin, rest.end);
  if (until > rest.begin) gaps.push_back({why, {rest.begin, until}});
  rest.begin = until;
}

}  // namespace

std::string_view name_of(Gap gap) {
  switch (gap) {
    case Gap::host:
      return "host";
    case Gap::launch:
      return "launch";
    case Gap::data:
      return "data";
    case Gap::idle:
      return "idle";
  }
  return "?";
}

std::vector<GapInterval> gaps_of(const StepTimes& times) {
  std::vector<GapInterval> gaps;
  double free_since = times.step.begin;
  for (const auto& call : times.calls) {
    Interval rest{free_since, call.device.begin};
    take_until(times.data.begin, Gap::host, rest, gaps);
    take_until(times.data.end, Gap::data, rest, gaps);
    take_until(call.host.begin, Gap::host, rest, gaps);
    take_until(rest.end, Gap::launch, rest, gaps);
    free_since = call.device.end;
  }
  Interval rest{free_since, times.step.end};
  take_until(times.wait.begin, Gap::host, rest, gaps);
  take_until(times.wait.end, Gap::idle, rest, gaps);
  take_until(rest.end, Gap::host, rest, gaps);
  return gaps;
}

// The host's interval begins behind the first mark: what the device was free before that, the host was late.
void Recorder::before(const PlannedStep& call) {
  marks_->mark();
  calls_.push_back({.call = &call});
  calls_.back().host.begin = steady_us();
}

void Recorder::after(const PlannedStep&) {
  calls_.back().host.end = steady_us();
  marks_->mark();
}

StepTimes Recorder::take(StepTimes times) {
  const auto marks = marks_->read_us();
  if (marks.size() != 2 * calls_.size())
    throw InternalError("profile: expected {} marks, got {}", 2 * calls_.size(), marks.size());
  double free_since = times.step.begin;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    auto& device = calls_[i].device;
    device.begin = std::clamp(marks[2 * i], free_since, times.step.end);
    device.end = std::clamp(marks[2 * i + 1], device.begin, times.step.end);
    free_since = device.end;
  }
  times.calls = std::exchange(calls_, {});
  return times;
}

}  // namespace scrawl::bench
