#pragma once
/// Files with fixed content. tests/golden/make_io_goldens.py makes the same with the Python packages.

#include <filesystem>

namespace scrawl {

/// A tensor of every type, an empty one, a scalar, names and metadata beyond ASCII.
void write_sample_tensors(const std::filesystem::path& path);

/// A file of two curves in `folder`, then one of a run resumed after step 2; wall times 1000, 1001, ...
/// Returns the first.
std::filesystem::path write_sample_events(const std::filesystem::path& folder);

}  // namespace scrawl
