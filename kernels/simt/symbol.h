#pragma once
/// Where an instruction of this program stands in its sources.

#include <string>

namespace scrawl::simt {

/// "softmax.cu:41", by addr2line; the bare address where that is not installed or knows nothing.
std::string place_of(const void* instruction);

/// The function that begins there, as C++ has it; "" where addr2line is not installed or knows nothing.
std::string function_at(const void* address);

}  // namespace scrawl::simt
