#pragma once
/// What can be said of our kernels without a GPU. Each variant of a problem runs on simt, in a few blocks of
/// each launch, which are counted; registers, shared memory and instructions are the compiler's, where this
/// program has kernels for a GPU and cuobjdump is there. From both: occupancy, and the time that it should
/// take at least on an H200, beside the limit.

#include "bench/kernels/sweep.h"
#include "bench/report.h"

namespace scrawl::bench {

/// Prints a line a variant, and returns the report as JSON. No device may be open: simt's begins anew with
/// each. LSTMs are looked at with 64 samples at most: simt has no more lanes at once.
std::string static_view(const std::vector<Listed>&, const Header&, std::uint64_t counted_blocks);

}  // namespace scrawl::bench
