#include "runtime/io/cpuinfo.h"

#include <fstream>

namespace scrawl {

std::string cpuinfo(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  return cpuinfo(key, file);
}

std::string cpuinfo(std::string_view key, std::istream& lines) {
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;
    return colon + 2 <= line.size() ? line.substr(colon + 2) : "";
  }
  return {};
}

}  // namespace scrawl
