#include "kernels/simt/symbol.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

namespace scrawl::simt {

namespace {

/// Lines that addr2line prints of an address; none where it is not installed.
std::vector<std::string> answer_of(const char* address, const char* options) {
  Dl_info image{};
  if (!dladdr(address, &image) || !image.dli_fname) return {};
  const auto offset = address - static_cast<const char*>(image.dli_fbase);
  const auto command =
      fmt::format("addr2line {} -e '{}' {:#x} 2>/dev/null", options, image.dli_fname, offset);
  const std::unique_ptr<FILE, int (*)(FILE*)> answer(popen(command.c_str(), "r"), pclose);
  std::vector<std::string> lines;
  std::array<char, 4096> line{};
  while (answer && std::fgets(line.data(), line.size(), answer.get())) {
    lines.emplace_back(line.data());
    lines.back().erase(lines.back().find_last_not_of('\n') + 1);
  }
  return lines;
}

}  // namespace

std::string place_of(const void* instruction) {
  // A return address may already belong to the line that follows.
  const auto lines = answer_of(static_cast<const char*>(instruction) - 1, "");
  if (lines.empty() || lines[0].starts_with("?")) return fmt::format("{}", instruction);
  auto place = lines[0].substr(lines[0].rfind('/') + 1);
  if (const auto remark = place.find(" ("); remark != std::string::npos)
    place.erase(remark);  // discriminators
  return place;
}

std::string function_at(const void* address) {
  const auto lines = answer_of(static_cast<const char*>(address), "-f -C");
  return lines.empty() || lines[0].starts_with("?") ? "" : lines[0];
}

}  // namespace scrawl::simt
