#pragma once
/// Steps as a file for trace viewers (ui.perfetto.dev, chrome://tracing).

#include "bench/profile/profile.h"

namespace scrawl::bench {

/// Chrome's trace event format, microseconds since the first step. Two lanes: the host, with the ranges of
/// runtime/device/ranges.h and each call in them, and the device, with each call and the gaps between. Within
/// a lane events nest.
nlohmann::ordered_json trace_of(const Profile&);

}  // namespace scrawl::bench
