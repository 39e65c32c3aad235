#include "bench/profile/trace.h"

#include <cmath>
#include <optional>
#include <utility>

namespace scrawl::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int process = 1;
enum class Lane : std::uint8_t { host = 1, device = 2 };

class Trace {
 public:
  explicit Trace(double start) : start_(start) {}

  /// Of the process, or of a lane.
  void name(const std::string& what, const std::string& name, std::optional<Lane> lane) {
    Json event{{"name", what}, {"ph", "M"}, {"pid", process}};
    if (lane) event["tid"] = static_cast<int>(*lane);
    event["args"] = {{"name", name}};
    events_.push_back(std::move(event));
  }

  void add(Lane lane, const std::string& category, const std::string& name, const Interval& interval,
           Json arguments = Json::object()) {
    const double begin = nanoseconds(interval.begin), end = nanoseconds(interval.end);
    events_.push_back({{"name", name},
                       {"cat", category},
                       {"ph", "X"},
                       {"ts", begin / 1e3},
                       {"dur", (end - begin) / 1e3},
                       {"pid", process},
                       {"tid", static_cast<int>(lane)},
                       {"args", std::move(arguments)}});
  }

  Json take() { return std::move(events_); }

 private:
  /// Whole: where one event ends and the next begins is one number.
  double nanoseconds(double us) const { return std::round((us - start_) * 1e3); }

  double start_;
  Json events_ = Json::array();
};

Json arguments_of(const PlannedStep& call) {
  return {{"node", call.node}, {"phase", range_of(call.phase)}, {"variant", call.call.variant}};
}

/// From the first to the last of calls that follow each other and have the same `key`. Nameless ones are left
/// out.
template <class Key, class Name>
void add_ranges(Trace& trace, const std::string& category, const std::vector<CallTimes>& calls, Key key,
                Name name) {
  for (std::size_t first = 0, next = 0; first < calls.size(); first = next) {
    while (next < calls.size() && key(*calls[next].call) == key(*calls[first].call)) ++next;
    if (const std::string text = name(*calls[first].call); !text.empty())
      trace.add(Lane::host, category, text, {calls[first].host.begin, calls[next - 1].host.end});
  }
}

void add_host(Trace& trace, const StepTimes& step) {
  trace.add(Lane::host, "step", "step", step.step);
  trace.add(Lane::host, "data", "data", step.data);
  const auto phase = [](const PlannedStep& call) { return call.phase; };
  const auto node = [](const PlannedStep& call) { return std::pair(call.phase, call.node); };
  add_ranges(trace, "phase", step.calls, phase, [](const PlannedStep& call) { return range_of(call.phase); });
  add_ranges(trace, "node", step.calls, node, [](const PlannedStep& call) { return call.node; });
  for (const auto& times : step.calls)
    trace.add(Lane::host, "call", times.call->name, times.host, arguments_of(*times.call));
  trace.add(Lane::host, "wait", "wait", step.wait);
}

void add_device(Trace& trace, const StepTimes& step) {
  for (const auto& times : step.calls)
    trace.add(Lane::device, "call", times.call->name, times.device, arguments_of(*times.call));
  for (const auto& [why, interval] : gaps_of(step))
    trace.add(Lane::device, "gap", fmt::format("gap: {}", name_of(why)), interval);
}

}  // namespace

Json trace_of(const Profile& p) {
  Trace trace(p.steps.empty() ? 0 : p.steps.front().step.begin);
  trace.name("process_name", fmt::format("scrawl profile {}", p.recipe), {});
  trace.name("thread_name", "host", Lane::host);
  trace.name("thread_name", fmt::format("device {}", p.device), Lane::device);
  for (const auto& step : p.steps) {
    add_host(trace, step);
    add_device(trace, step);
  }
  return {{"traceEvents", trace.take()},
          {"displayTimeUnit", "ms"},
          {"otherData", {{"recipe", p.recipe}, {"batch", p.batch}, {"device", p.device}, {"data", p.data}}}};
}

}  // namespace scrawl::bench
