#pragma once
/// Ways to pool that pool.cpp lists after its own.

#include "kernels/plan.h"
#include "kernels/pool.h"

namespace scrawl::cpu {

/// Why no call goes to oneDNN's max pooling (2.6.3).
inline constexpr std::string_view no_onednn_maxima =
    "oneDNN's max pooling makes a finite number of a window of -inf, and hides NaN";

// pool_onednn.cpp: averages of images without valid widths.
Plan<PoolForward> pool_forward_onednn(PoolForward&, const Selection&);
Plan<PoolBackward> pool_backward_onednn(PoolBackward&, const Selection&);

}  // namespace scrawl::cpu
