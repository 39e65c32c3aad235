#pragma once
/// Every engine that cuDNN has for a call, for a search by time: those whose bits do not repeat, too. `bench`
/// alone runs them; training never does.

#include <vector>

#include "kernels/conv2d.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

/// Plans of one call, `variant` naming the engine. The call is placed as all of them need it. Throws Refused
/// where cuDNN or a GPU is missing, or the contract asks for what cuDNN does not do.
std::vector<Plan<Conv2dForward>> all_plans(Conv2dForward&, const Selection&);
std::vector<Plan<Conv2dBackwardData>> all_plans(Conv2dBackwardData&, const Selection&);
std::vector<Plan<Conv2dBackwardWeight>> all_plans(Conv2dBackwardWeight&, const Selection&);

}  // namespace scrawl::cuda
