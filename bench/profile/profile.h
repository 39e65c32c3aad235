#pragma once
/// Where the time of a training step goes: by node, phase and call on its device, and in the gaps between.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/profile/timeline.h"
#include "bench/profile/training_step.h"
#include "bench/report.h"

namespace scrawl::bench {

struct ProfiledCall {
  const PlannedStep* call = nullptr;
  Summary us;        ///< on the device; without samples where time means nothing
  double share = 0;  ///< of what all calls take: of their time, or of their lanes where time means nothing
  WorkCounts counts;
};

/// The calls of a node in a phase, named as the ranges of profilers (runtime/device/ranges.h).
struct ProfiledNode {
  std::string node;  ///< empty: no node's (an optimiser)
  Phase phase = Phase::forward;
  std::vector<ProfiledCall> calls;  ///< in their order
  Summary us;
  double share = 0;
  WorkCounts counts;
  /// The operator's; of an update, whose cost no operator tells, the bytes of its calls' operands.
  Cost cost;
};

struct Profile {
  std::string recipe, device, data;
  Precision precision = Precision::f32;
  int batch = 0, classes = 0;
  Ceiling copy, product;            ///< of the device; 0 where time means nothing
  std::vector<ProfiledNode> nodes;  ///< by share, the largest first
  Summary step;                     ///< steps whose calls were watched
  Summary unwatched;                ///< steps between them whose calls were not
  Summary calls;                    ///< of a step's calls, their sum
  std::map<Gap, Summary> gaps;      ///< every kind, where time means something
  std::vector<StepTimes> steps;     ///< those that were watched

  /// Sum of the nodes' medians. Where others disturb, it is less than the median of the sums.
  double nodes_us() const;
  bool has_times() const { return !steps.empty(); }
};

/// Profiles `steps` steps behind a warm-up, alternating with as many that nobody watches, all within what
/// profilers record. Where time means nothing (simt), counts one step. Calls point into `step`.
Profile profile(TrainingStep& step, const Recipe&, Device&, int steps);

/// A report in the schema of all measurements (bench/report.h), a row for each node and phase. Added to it:
///   in a row     node, phase, share, calls: [{name, variant, us, share, launches, lanes}]
///   beside rows  profile: {recipe, batch, classes, data, steps, step_us, unwatched_step_us, calls_us,
///                nodes_us, gaps_us: {host, launch, data, idle}}
/// What is unknown is null.
nlohmann::ordered_json to_json(const Profile&, Header);

std::string to_table(const Profile&);

}  // namespace scrawl::bench
