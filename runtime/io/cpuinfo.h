#pragma once
/// What the system says of the processor.

#include <iosfwd>
#include <string>
#include <string_view>

namespace scrawl {

/// The value of the first "key : value" line of /proc/cpuinfo; empty where there is none, as for keys that
/// this kind of processor lacks.
std::string cpuinfo(std::string_view key);
std::string cpuinfo(std::string_view key, std::istream& lines);  ///< of other lines of that form

}  // namespace scrawl
