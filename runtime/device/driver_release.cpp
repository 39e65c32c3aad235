#include "runtime/device/driver_release.h"

#include <regex>

namespace scrawl {

std::string driver_release(std::string_view text) {
  static const std::regex release(R"(NVRM version:.*?\s(\d+\.\d+(\.\d+)?)\s)");
  std::cmatch found;
  return std::regex_search(text.data(), text.data() + text.size(), found, release) ? found[1].str() : "";
}

}  // namespace scrawl
