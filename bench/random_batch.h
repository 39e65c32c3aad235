#pragma once
/// Samples for networks whose time is measured where there is no data.

#include "models/data/batch.h"
#include "models/recipe.h"

namespace scrawl::bench {

inline constexpr int longest_random_label = 24;

/// Random pixels and classes. Labels of sequences have 1 to longest_random_label characters, and at most 3/8
/// of `frames`. The same on every call.
Batch random_batch(const Recipe&, int classes, int batch, std::int64_t frames);

}  // namespace scrawl::bench
