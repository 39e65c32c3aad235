#include "bench/profile/profile.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "bench/ceilings.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

constexpr int warmup = 3;  // memory is touched, threads run, batches are made ahead

/// Counts what each call of a step is given.
class Counter final : public CallWatch {
 public:
  explicit Counter(Device& device) : device_(device) {}
  void before(const PlannedStep&) override { before_ = device_.work_counts(); }
  void after(const PlannedStep& call) override {
    const auto now = device_.work_counts();
    const auto since = [](const auto& from, const auto& to) {
      return from && to ? std::optional(*to - *from) : std::nullopt;
    };
    counts_[&call] = {since(before_.launches, now.launches), since(before_.lanes, now.lanes)};
  }

  /// A call that launched none of our kernels is a library's, which has launched what nobody counted.
  WorkCounts of(const PlannedStep& call) const {
    auto counts = counts_.at(&call);
    if (counts.launches == 0u) counts.launches.reset();
    return counts;
  }

 private:
  Device& device_;
  WorkCounts before_;
  std::map<const PlannedStep*, WorkCounts> counts_;
};

/// Unknown as soon as a summand is.
void add(std::optional<std::uint64_t>& sum, const std::optional<std::uint64_t>& count) {
  sum = sum && count ? std::optional(*sum + *count) : std::nullopt;
}

/// Bytes of a call's operands, those that it updates twice.
double bytes_of(const ProgramPlan& plan, const PlannedStep& call) {
  double bytes = 0;
  for (std::size_t i = 0; i < call.values.size(); ++i) {
    const auto size = static_cast<double>(plan.values[static_cast<std::size_t>(call.values[i])].bytes);
    bytes += call.access[i] == Access::update ? 2 * size : size;
  }
  return bytes;
}

Cost cost_of(const TrainingStep& step, const ProfiledNode& profiled) {
  Cost cost;
  if (profiled.phase == Phase::update) {
    for (const auto& call : profiled.calls) cost.bytes += bytes_of(step.program().plan(), *call.call);
    return cost;
  }
  for (const auto& node : step.graph().nodes()) {
    if (node.name != profiled.node) continue;
    const auto least = scrawl::cost_of(step.graph(), node, profiled.phase);
    return {least.flops, least.bytes};
  }
  throw InternalError("profile: no node {}", profiled.node);
}

/// The plan's calls by node and phase, in the order of the first.
std::vector<ProfiledNode> nodes_of(const TrainingStep& step, const Counter& counter) {
  std::vector<ProfiledNode> nodes;
  for (const auto& call : step.program().plan().steps) {
    const auto same = [&](const ProfiledNode& n) { return n.node == call.node && n.phase == call.phase; };
    auto found = std::ranges::find_if(nodes, same);
    if (found == nodes.end()) {
      nodes.push_back({.node = call.node, .phase = call.phase, .counts = {0, 0}});
      found = nodes.end() - 1;
    }
    const auto counts = counter.of(call);
    found->calls.push_back({.call = &call, .counts = counts});
    add(found->counts.launches, counts.launches);
    add(found->counts.lanes, counts.lanes);
  }
  for (auto& node : nodes) node.cost = cost_of(step, node);
  return nodes;
}

/// Shares by `weight`, which nodes and calls have. Those of nodes add up to 1, those of calls to their
/// node's: medians of calls do not add up to the median of their sum.
template <class Weight>
void share_and_sort(std::vector<ProfiledNode>& nodes, Weight weight) {
  double sum = 0;
  for (const auto& node : nodes) sum += weight(node);
  if (sum == 0) return;
  for (auto& node : nodes) {
    node.share = weight(node) / sum;
    double of_calls = 0;
    for (const auto& call : node.calls) of_calls += weight(call);
    for (auto& call : node.calls) call.share = of_calls > 0 ? node.share * weight(call) / of_calls : 0;
  }
  std::ranges::stable_sort(nodes, std::greater(), &ProfiledNode::share);
}

/// The times of nodes and gaps, over all steps.
void summarize_steps(Profile& p) {
  std::map<const PlannedStep*, std::vector<double>> calls;
  std::map<Gap, std::vector<double>> gaps;
  std::vector<double> steps, sums_of_calls;
  for (const auto& step : p.steps) {
    steps.push_back(step.step.us());
    sums_of_calls.push_back(0);
    for (const auto& call : step.calls) {
      calls[call.call].push_back(call.device.us());
      sums_of_calls.back() += call.device.us();
    }
    std::map<Gap, double> sums;
    for (const auto& [why, interval] : gaps_of(step)) sums[why] += interval.us();
    for (const auto why : all_gaps) gaps[why].push_back(sums[why]);
  }
  p.step = summarize(steps);
  p.calls = summarize(sums_of_calls);
  for (const auto& [why, us] : gaps) p.gaps[why] = summarize(us);
  for (auto& node : p.nodes) {
    std::vector<double> sums(p.steps.size(), 0);
    for (auto& call : node.calls) {
      const auto& us = calls.at(call.call);
      call.us = summarize(us);
      std::ranges::transform(sums, us, sums.begin(), std::plus());
    }
    node.us = summarize(sums);
  }
}

}  // namespace

double Profile::nodes_us() const {
  return std::accumulate(nodes.begin(), nodes.end(), 0.0,
                         [](double sum, const ProfiledNode& node) { return sum + node.us.median; });
}

Profile profile(TrainingStep& step, const Recipe& recipe, Device& device, int steps) {
  Profile p{.recipe = recipe.name,
            .device = device.name(),
            .data = step.data(),
            .precision = recipe.training.precision,
            .batch = recipe.training.batch,
            .classes = step.classes()};
  Counter counter(device);
  if (device.name() == "simt") {
    step.run(&counter);
    p.nodes = nodes_of(step, counter);
    share_and_sort(p.nodes, [](const auto& of) { return static_cast<double>(of.counts.lanes.value_or(0)); });
    return p;
  }
  const auto selection = selection_for(device, p.precision);
  p.copy = copy_ceiling(device, selection);
  p.product = product_ceiling(device, selection, storage_type(p.precision));
  Recorder recorder(device.marks());
  for (int i = 0; i < warmup; ++i) recorder.take(step.run(&recorder));
  step.run(&counter);
  p.nodes = nodes_of(step, counter);
  std::vector<double> unwatched;
  device.start_profiler();
  for (int i = 0; i < steps; ++i) {
    unwatched.push_back(step.run().step.us());
    p.steps.push_back(recorder.take(step.run(&recorder)));
  }
  device.stop_profiler();
  p.unwatched = summarize(unwatched);
  summarize_steps(p);
  share_and_sort(p.nodes, [](const auto& of) { return of.us.median; });
  return p;
}

}  // namespace scrawl::bench
