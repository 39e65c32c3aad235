#pragma once
/// The specification: plain loops in double over operands of any type and any strides. Slow, and never the
/// last word on rounding; every other backend is tested against it.

#include "kernels/backend.h"

namespace scrawl::reference {

/// Every entry is present, takes f64 as well as the types of the contracts (kernels/check.h: Widest::f64),
/// and leaves placements as they are.
const Backend& backend();

}  // namespace scrawl::reference
