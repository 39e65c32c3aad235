#pragma once
/// The way back from a report's file.

#include <filesystem>

#include "bench/report.h"

namespace scrawl::bench {

/// What write_report() or bench/peers wrote. Fields that older reports lack are as if nothing had been
/// measured. Throws DataError, with the place in the file, where it cannot be read, is not JSON, or is not in
/// this schema.
Report read_report(const std::filesystem::path&);

}  // namespace scrawl::bench
