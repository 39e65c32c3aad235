#pragma once
/// Pictures of a report, of the width that a README has: what the device can do, and how near to it we and
/// the vendor are.

#include <filesystem>
#include <string>

#include "bench/report.h"

namespace scrawl::bench {

/// SVG, from top to bottom, each where the report has rows for it:
/// a roofline of each type (FLOP/s over FLOP/byte, log), ours beside the vendor's best;
/// rates of bytes over that of copies, of rows without FLOPs; and
/// times as fast as the best peer, both a bar an operation and type: the geometric mean of its problems.
/// Of each problem our fastest variant, cold where it was measured so. Throws DataError for a report that has
/// nothing to draw.
std::string to_svg(const Report&);

/// Throws UsageError for a path that ends neither in .svg nor in .png, or where nothing makes PNGs.
void check_plot_path(const std::filesystem::path&);

/// Whole or not at all. Throws WriteError, and what the two above throw.
void write_plot(const std::filesystem::path&, const Report&);

}  // namespace scrawl::bench
