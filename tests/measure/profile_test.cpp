#include "bench/profile/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "bench/ceilings.h"
#include "bench/profile/trace.h"
#include "kernels/error.h"
#include "tests/graph/tiny_recipe.h"

#ifdef SCRAWL_HAS_SIMT
#include "kernels/simt/runtime.h"
#include "runtime/device/cuda.h"
#endif

namespace scrawl::bench {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Recipe tiny() {
  auto recipe = scrawl::testing::tiny_recipe();
  recipe.training.batch = 2;
  return recipe;
}

/// Two calls and what the host did meanwhile; the device takes them at `first` and `second`.
StepTimes step_of(Interval first_queued, Interval first, Interval second_queued, Interval second) {
  static const PlannedStep one{.name = "one"}, two{.name = "two"};
  return {.step = {0, 100},
          .data = {0, 10},
          .wait = {60, 90},
          .calls = {{&one, first_queued, first}, {&two, second_queued, second}}};
}

std::string text(const std::vector<GapInterval>& gaps) {
  std::string text;
  for (const auto& [why, interval] : gaps)
    text += fmt::format("{} {}-{} ", name_of(why), interval.begin, interval.end);
  return text;
}

TEST(profile, a_device_that_is_kept_busy_waits_for_data_its_first_launch_and_the_end) {
  const auto times = step_of({12, 15}, {14, 40}, {16, 18}, {41, 80});
  EXPECT_EQ(text(gaps_of(times)), "data 0-10 host 10-12 launch 12-14 launch 40-41 idle 80-90 host 90-100 ");
}

TEST(profile, a_host_that_is_late_is_named) {
  const auto times = step_of({12, 15}, {13, 20}, {50, 55}, {52, 58});
  EXPECT_EQ(text(gaps_of(times)),
            "data 0-10 host 10-12 launch 12-13 host 20-50 launch 50-52 host 58-60 idle 60-90 host 90-100 ");
}

TEST(profile, calls_that_end_when_they_return_leave_gaps_to_the_host) {
  const auto times = step_of({12, 30}, {12, 30}, {31, 60}, {31, 60});
  EXPECT_EQ(text(gaps_of(times)), "data 0-10 host 10-12 host 30-31 idle 60-90 host 90-100 ");
}

class GivenMarks final : public Marks {
 public:
  explicit GivenMarks(std::vector<double> times) : times_(std::move(times)) {}
  void mark() override {}
  std::vector<double> read_us() override { return std::exchange(times_, {}); }

 private:
  std::vector<double> times_;
};

TEST(profile, calls_are_cut_to_their_step_and_follow_each_other) {
  const PlannedStep one{.name = "one"}, two{.name = "two"}, three{.name = "three"};
  // The device's clock is 5 ahead at first, and behind its own past at the second call.
  Recorder recorder(std::make_unique<GivenMarks>(std::vector<double>{95, 120, 118, 150, 160, 207}));
  for (const auto* const call : {&one, &two, &three}) {
    recorder.before(*call);
    recorder.after(*call);
  }
  const auto times = recorder.take({.step = {100, 200}});
  ASSERT_EQ(times.calls.size(), 3u);
  const auto device = [&](std::size_t i) {
    return std::pair(times.calls[i].device.begin, times.calls[i].device.end);
  };
  EXPECT_EQ(device(0), std::pair(100.0, 120.0));
  EXPECT_EQ(device(1), std::pair(120.0, 150.0));
  EXPECT_EQ(device(2), std::pair(160.0, 200.0));
  EXPECT_EQ(times.calls[1].call, &two);
}

TEST(profile, marks_that_are_missing_are_a_fault_of_ours) {
  const PlannedStep one{.name = "one"};
  Recorder recorder(std::make_unique<GivenMarks>(std::vector<double>{1}));
  recorder.before(one);
  recorder.after(one);
  EXPECT_THROW(recorder.take({.step = {0, 2}}), InternalError);
}

/// The intervals of a step's device, calls and gaps, in order: each begins where the one before it ends.
void expect_filled(const StepTimes& step) {
  std::map<double, double> intervals;
  const auto add = [&](const Interval& interval) {
    EXPECT_LE(interval.begin, interval.end);
    if (interval.us() > 0) {
      EXPECT_TRUE(intervals.emplace(interval.begin, interval.end).second);
    }
  };
  for (const auto& call : step.calls) add(call.device);
  for (const auto& gap : gaps_of(step)) add(gap.interval);
  double at = step.step.begin;
  for (const auto& [begin, end] : intervals) {
    EXPECT_EQ(begin, at);
    at = end;
  }
  EXPECT_EQ(at, step.step.end);
}

TEST(profile, every_call_of_the_plan_is_in_each_step_and_in_one_node) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "cpu", .threads = 1});
  TrainingStep step(recipe, 5, *device);
  const auto p = profile(step, recipe, *device, 3);
  const auto& planned = step.program().plan().steps;
  ASSERT_EQ(p.steps.size(), 3u);
  for (const auto& times : p.steps) {
    ASSERT_EQ(times.calls.size(), planned.size());
    for (std::size_t i = 0; i < planned.size(); ++i) EXPECT_EQ(times.calls[i].call, &planned[i]);
    expect_filled(times);
  }
  std::multiset<const PlannedStep*> calls;
  std::set<std::pair<Phase, std::string>> nodes;
  double shares = 0;
  for (const auto& node : p.nodes) {
    EXPECT_TRUE(nodes.emplace(node.phase, node.node).second) << node.node;
    EXPECT_EQ(node.us.samples, 3);
    EXPECT_TRUE(node.phase == Phase::update || node.cost.flops + node.cost.bytes > 0) << node.node;
    shares += node.share;
    double of_calls = 0;
    for (const auto& call : node.calls) {
      calls.insert(call.call);
      of_calls += call.share;
      EXPECT_EQ(call.call->node, node.node);
      EXPECT_EQ(call.call->phase, node.phase);
      EXPECT_EQ(call.counts.launches, std::nullopt) << "a processor launches nothing";
    }
    EXPECT_NEAR(of_calls, node.share, 1e-9);
  }
  EXPECT_NEAR(shares, 1, 1e-9);
  EXPECT_TRUE(std::ranges::is_sorted(p.nodes, std::greater(), &ProfiledNode::share));
  ASSERT_EQ(calls.size(), planned.size());
  for (const auto& call : planned) EXPECT_EQ(calls.count(&call), 1u) << call.name;
  EXPECT_EQ(p.gaps.size(), std::size(all_gaps));
  EXPECT_GT(p.copy.per_second, 0);
  EXPECT_GT(p.product.per_second, 0);
  EXPECT_NE(p.product.by, "");
}

TEST(profile, the_first_convolution_is_not_charged_for_a_gradient_that_nobody_wants) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "cpu", .threads = 1});
  TrainingStep step(recipe, 5, *device);
  const auto& nodes = step.graph().nodes();
  const auto named = [&](std::string_view name) {
    return *std::ranges::find_if(nodes, [&](const Node& node) { return node.name.starts_with(name); });
  };
  const auto flops = [&](const Node& node, Phase phase) { return cost_of(step.graph(), node, phase).flops; };
  EXPECT_EQ(flops(named("conv1"), Phase::backward), flops(named("conv1"), Phase::forward));
  EXPECT_EQ(flops(named("output"), Phase::backward), 2 * flops(named("output"), Phase::forward));
}

TEST(profile, a_trace_has_what_viewers_need_and_nests) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "cpu", .threads = 1});
  TrainingStep step(recipe, 5, *device);
  const auto p = profile(step, recipe, *device, 2);
  const auto trace = nlohmann::json::parse(trace_of(p).dump());
  EXPECT_EQ(trace["displayTimeUnit"], "ms");
  std::map<int, std::vector<std::pair<std::int64_t, std::int64_t>>>
      lanes;  // begin, minus end: outer ones first
  std::map<std::string, int> counted;
  std::set<std::string> metadata;
  for (const auto& event : trace["traceEvents"]) {
    ASSERT_TRUE(event["name"].is_string() && event["ph"].is_string() && event["pid"].is_number_integer());
    if (event["ph"] == "M") {
      metadata.insert(event["args"]["name"]);
      continue;
    }
    ASSERT_EQ(event["ph"], "X");
    ASSERT_TRUE(event["tid"].is_number_integer() && event["cat"].is_string());
    EXPECT_GE(event["dur"].get<double>(), 0);
    const auto begin = std::llround(1e3 * event["ts"].get<double>());
    const auto end = begin + std::llround(1e3 * event["dur"].get<double>());
    lanes[event["tid"]].emplace_back(begin, -end);
    ++counted[fmt::format("{} {}", event["tid"].get<int>(), event["cat"].get<std::string>())];
  }
  EXPECT_THAT(metadata, ElementsAre("device cpu", "host", "scrawl profile tiny"));
  const auto calls = static_cast<int>(2 * step.program().plan().steps.size());
  EXPECT_EQ(counted["1 call"], calls);
  EXPECT_EQ(counted["2 call"], calls);
  EXPECT_EQ(counted["1 step"], 2);
  EXPECT_EQ(counted["1 data"], 2);
  EXPECT_EQ(counted["1 phase"], 2 * 3);
  EXPECT_GT(counted["1 node"], 2 * 5);
  ASSERT_EQ(lanes.size(), 2u);
  for (auto& [lane, events] : lanes) {
    std::ranges::sort(events);
    std::vector<std::int64_t> open;
    for (const auto& [begin, minus_end] : events) {
      while (!open.empty() && open.back() <= begin) open.pop_back();
      if (!open.empty()) {
        EXPECT_LE(-minus_end, open.back()) << "lane " << lane;
      }
      open.push_back(-minus_end);
    }
  }
}

TEST(profile, json_has_the_schema_of_all_measurements_and_what_a_profile_adds) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "cpu", .threads = 1});
  TrainingStep step(recipe, 5, *device);
  const auto p = profile(step, recipe, *device, 2);
  const auto json = nlohmann::json::parse(to_json(p, {.machine = "m"}).dump());
  EXPECT_EQ(json["header"]["machine"], "m");
  EXPECT_EQ(json["header"]["ceilings"]["copy"]["per_second"], p.copy.per_second);
  EXPECT_EQ(json["header"]["ceilings"]["f32"]["by"], p.product.by);
  ASSERT_EQ(json["rows"].size(), p.nodes.size());
  for (const auto& row : json["rows"]) {
    for (const char* field :
         {"name", "variant", "us", "flops", "bytes", "percent_of_limit", "node", "phase", "share"})
      EXPECT_TRUE(row.contains(field)) << field;
    EXPECT_THAT(std::vector<std::string>({"forward", "backward", "optimiser"}),
                Contains(row["phase"].get<std::string>()));
    ASSERT_FALSE(row["calls"].empty());
    EXPECT_TRUE(row["calls"][0]["launches"].is_null());
  }
  const auto& about = json["profile"];
  EXPECT_EQ(about["recipe"], "tiny");
  EXPECT_EQ(about["data"], "random samples");
  EXPECT_EQ(about["steps"], 2);
  EXPECT_EQ(about["step_us"]["samples"], 2);
  for (const char* gap : {"host", "launch", "data", "idle"})
    EXPECT_TRUE(about["gaps_us"].contains(gap)) << gap;
}

#ifdef SCRAWL_HAS_SIMT
TEST(profile, simt_counts_launches_and_lanes_and_has_no_times) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "simt"});
  TrainingStep step(recipe, 5, *device);
  const auto before = simt::runtime().work();
  const auto p = profile(step, recipe, *device, 2);
  const auto after = simt::runtime().work();
  std::uint64_t launches = 0, lanes = 0;
  EXPECT_FALSE(p.has_times());
  EXPECT_TRUE(p.gaps.empty());
  double shares = 0;
  std::size_t calls = 0;
  for (const auto& node : p.nodes) {
    EXPECT_GT(node.counts.launches.value_or(0), 0u) << node.node;
    EXPECT_GE(node.counts.lanes.value_or(0), node.counts.launches.value_or(0)) << node.node;
    EXPECT_EQ(node.us.samples, 0);
    launches += node.counts.launches.value_or(0);
    lanes += node.counts.lanes.value_or(0);
    shares += node.share;
    calls += node.calls.size();
  }
  EXPECT_NEAR(shares, 1, 1e-9);
  EXPECT_EQ(calls, step.program().plan().steps.size());
  EXPECT_EQ(launches, after.launches - before.launches);
  EXPECT_EQ(lanes, after.lanes - before.lanes);
  const auto json = to_json(p, {});
  EXPECT_TRUE(json["profile"]["step_us"].is_null());
  EXPECT_TRUE(json["rows"][0]["us"].is_null());
  EXPECT_THAT(to_table(p), HasSubstr("time means nothing"));
  EXPECT_THROW(copy_ceiling(*device, device->selection()), DeviceError);
}

// The events of a GPU's stream, whose times are an order here: nothing waits until a step is taken.
TEST(profile, events_of_a_stream_tell_the_calls_of_a_step_apart) {
  const auto recipe = tiny();
  const auto device = open_device({.device = "simt"});
  TrainingStep step(recipe, 5, *device);
  Recorder recorder(simt::event_marks(device->stream()));
  EXPECT_THROW(device->marks(), DeviceError);
  for (int i = 0; i < 2; ++i) {
    const auto times = recorder.take(step.run(&recorder));
    const auto& planned = step.program().plan().steps;
    ASSERT_EQ(times.calls.size(), planned.size());
    for (std::size_t c = 0; c < planned.size(); ++c) EXPECT_EQ(times.calls[c].call, &planned[c]);
    expect_filled(times);
  }
}
#endif

}  // namespace
}  // namespace scrawl::bench
