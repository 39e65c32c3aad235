#pragma once

#include <cstdint>

namespace scrawl {

/// Of the blocks of a launch. Apart: each may run when others have ended, in no promised order. Together: all
/// are on the GPU at once, so that they may wait for each other; one whose blocks do not fit is refused.
enum class Residency : std::uint8_t { apart, together };

}  // namespace scrawl
