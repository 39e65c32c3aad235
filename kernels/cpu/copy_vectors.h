#pragma once
/// Copies between channel blocks and strides.

#include "kernels/backend.h"

namespace scrawl::cpu {

/// One of x and y as channel blocks, the other in strides of which that of C, H or W is 1.
Plan<Copy> plan_copy_vectors(Copy&, const Selection&);

}  // namespace scrawl::cpu
