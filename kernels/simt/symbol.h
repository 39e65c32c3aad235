#pragma once
/// Where an instruction of this program stands in its sources.

#include <string>

namespace scrawl::simt {

/// "softmax.cu:41", by addr2line; the bare address where that is not installed or knows nothing.
std::string place_of(const void* instruction);

}  // namespace scrawl::simt
