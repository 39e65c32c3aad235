#include "kernels/simt/symbol.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>

namespace scrawl::simt {

std::string place_of(const void* instruction) {
  // A return address may already belong to the line that follows.
  const auto* const address = static_cast<const char*>(instruction) - 1;
  Dl_info image{};
  if (!dladdr(address, &image) || !image.dli_fname) return fmt::format("{}", instruction);
  const auto offset = address - static_cast<const char*>(image.dli_fbase);
  const auto command = fmt::format("addr2line -e '{}' {:#x} 2>/dev/null", image.dli_fname, offset);
  const std::unique_ptr<FILE, int (*)(FILE*)> answer(popen(command.c_str(), "r"), pclose);
  std::array<char, 1024> line{};
  if (!answer || !std::fgets(line.data(), line.size(), answer.get())) return fmt::format("{}", instruction);
  std::string place(line.data());
  place.erase(place.find_last_not_of('\n') + 1);
  place.erase(0, place.rfind('/') + 1);
  if (const auto remark = place.find(" ("); remark != std::string::npos)
    place.erase(remark);  // discriminators
  return place.starts_with("?") ? fmt::format("{}", instruction) : place;
}

}  // namespace scrawl::simt
