#pragma once

#include <string>
#include <string_view>

namespace scrawl {

/// The release of NVIDIA's kernel driver, from the text of /proc/driver/nvidia/version: "580.65.06". Empty if
/// there is none in it.
std::string driver_release(std::string_view text);

}  // namespace scrawl
