#pragma once
/// Named ranges of time, for profilers that read NVTX, in a domain "scrawl":
///
///   step            a training step
///     data          the next batch: waited for, and copied to the device
///     forward       of a program, in training or not
///       conv1       the calls of a node, by its name in `scrawl inspect`
///     backward
///     optimiser
///
/// They are of the host, which queues work: profilers project them onto what ran on the GPU. Builds without
/// NVTX's header have none.

#include <string>

#include "kernels/view.h"

namespace scrawl {

/// Whether a profiler asked for ranges before the first one. It may not come later.
bool is_profiled();

/// From its construction to its end; ranges of a thread nest. Does nothing where nobody profiles.
class Range {
 public:
  explicit Range(const char* name);
  explicit Range(const std::string& name) : Range(name.c_str()) {}
  ~Range();
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

/// What a profiler calls a stream of the CUDA runtime.
void name_stream(Stream, const char* name);

/// For `scrawl devices`: the version of NVTX, or "" without its header.
std::string ranges_version();

}  // namespace scrawl
