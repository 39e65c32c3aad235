#pragma once
/// Every way in which cuDNN does a call, for a search by time: those whose bits do not repeat, too. `bench`
/// alone runs them; training never does.

#include <functional>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/ctc.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

/// What cuDNN names, not yet planned.
template <class Call>
struct OfferedPlan {
  std::string name;  ///< "engine 17"
  /// Once: it may compile kernels, which takes seconds. Throws Refused for what the contract's limits leave
  /// out, DeviceError with what cuDNN does not take after all.
  std::function<Plan<Call>()> plan;
};

// Plans of one call, which is placed as all of them need it. Throw DeviceError where cuDNN or a GPU is
// missing, Refused where the contract asks for what cuDNN does not do.

/// Every engine that cuDNN's heuristics name, in their order.
std::vector<OfferedPlan<Conv2dForward>> all_plans(Conv2dForward&, const Selection&);
/// These leave sums in place of moments: of y in `mean`, of its squares in `variance`.
std::vector<OfferedPlan<Conv2dMomentsForward>> all_plans(Conv2dMomentsForward&, const Selection&);
std::vector<OfferedPlan<Conv2dBackwardData>> all_plans(Conv2dBackwardData&, const Selection&);
std::vector<OfferedPlan<Conv2dBackwardWeight>> all_plans(Conv2dBackwardWeight&, const Selection&);
/// "deterministic" and "non-deterministic".
std::vector<OfferedPlan<CtcLoss>> all_plans(CtcLoss&, const Selection&);

}  // namespace scrawl::cuda
