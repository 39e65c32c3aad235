#include "bench/static/machine_code.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <regex>

#include "kernels/error.h"

namespace scrawl::bench {

namespace {

/// Calls `take` with each line.
template <class Take>
void each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 1 << 16> part{};
  for (std::size_t read = 0; pipe && (read = std::fread(part.data(), 1, part.size(), pipe.get())) > 0;)
    text.append(part.data(), read);
  return text;
}

/// Where the disassembler is.
std::string disassembler() {
  const char* const path = std::getenv("PATH");
  std::string folders = path ? path : "";
  folders += ":/usr/local/cuda/bin";
  for (std::size_t begin = 0; begin <= folders.size();) {
    const auto end = std::min(folders.find(':', begin), folders.size());
    const auto file = folders.substr(begin, end - begin) + "/cuobjdump";
    if (access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  throw DeviceError(
      "machine code: expected cuobjdump (of the CUDA toolkit) in PATH or /usr/local/cuda/bin, got none");
}

struct Instruction {
  std::uint64_t address;
  std::string operation;              ///< "LDG.E.128"
  std::optional<std::uint64_t> back;  ///< of a branch to what stands before it
};

Instructions count(const std::vector<Instruction>& code, std::size_t first, std::size_t last) {
  Instructions counts;
  for (auto i = first; i <= last; ++i) {
    const std::string_view operation = code[i].operation;
    const auto is = [&](auto... names) {
      return ((operation == names || operation.starts_with(std::string(names) + ".")) || ...);
    };
    ++counts.all;
    counts.products += is("HMMA", "IMMA", "HGMMA");
    counts.matrix_loads += is("LDSM");
    counts.copies += is("LDGSTS", "UBLKCP", "UTMALDG");
    counts.global += is("LDG", "STG", "LD", "ST", "LDGSTS");
    counts.stores += is("STG", "ST");
    counts.shared += is("LDS", "STS");
    counts.local += is("LDL", "STL");
  }
  return counts;
}

void finish(std::vector<Instruction>& code, MachineCode* kernel) {
  if (kernel && !code.empty()) {
    kernel->whole = count(code, 0, code.size() - 1);
    for (std::size_t last = 0; last < code.size(); ++last) {
      if (!code[last].back) continue;
      const auto first = std::ranges::lower_bound(code, *code[last].back, {}, &Instruction::address);
      kernel->loops.push_back(count(code, static_cast<std::size_t>(first - code.begin()), last));
    }
  }
  code.clear();
}

}  // namespace

std::string function_name(std::string_view text) {
  // Parameters end the name; in front of it stands what the function returns.
  if (text.ends_with(')')) {
    int open = 0;
    auto at = text.size();
    do {
      --at;
      open += text[at] == ')' ? 1 : text[at] == '(' ? -1 : 0;
    } while (open > 0 && at > 0);
    text = text.substr(0, at);
  }
  if (text.starts_with("void ")) text.remove_prefix(5);
  static const std::regex ours("scrawl::(cuda::|simt::)?(\\(anonymous namespace\\)::)?");
  return std::regex_replace(std::string(text), ours, "");
}

void add_usage(std::string_view text, Kernels& kernels) {
  static const std::regex function(R"(^\s*Function (\w+):)"), usage(R"(REG:(\d+) STACK:(\d+) SHARED:(\d+))");
  MachineCode* kernel = nullptr;
  each_line(text, [&](std::string_view line) {
    std::cmatch match;
    if (std::regex_search(line.begin(), line.end(), match, function)) {
      kernel = &kernels[function_name(demangled(match[1]))];
    } else if (kernel && std::regex_search(line.begin(), line.end(), match, usage)) {
      kernel->registers = std::stoi(match[1]);
      kernel->stack_bytes = std::stoul(match[2]);
      kernel->shared_bytes = std::stoul(match[3]);
      kernel = nullptr;
    }
  });
}

void add_code(std::string_view text, Kernels& kernels) {
  //        /*0a10*/                   @!P0 BRA 0x7f0 ;
  constexpr std::string_view begin = "/*", function = "Function : ";
  MachineCode* kernel = nullptr;
  std::vector<Instruction> code;
  each_line(text, [&](std::string_view line) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.starts_with(function)) {
      finish(code, kernel);
      kernel = &kernels[function_name(demangled(std::string(line.substr(function.size()))))];
      return;
    }
    const auto end = line.find("*/");
    if (!line.starts_with(begin) || end == std::string_view::npos || end > 8) return;
    const auto address = std::stoull(std::string(line.substr(2, end - 2)), nullptr, 16);
    line.remove_prefix(end + 2);
    const auto skip = [&] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
    skip();
    if (line.starts_with('@')) {
      line.remove_prefix(std::min(line.find(' '), line.size()));
      skip();
    }
    const auto length = std::min(line.find_first_of(" ;"), line.size());
    if (length == 0) return;
    Instruction instruction{address, std::string(line.substr(0, length)), {}};
    if (instruction.operation.starts_with("BRA"))
      if (const auto target = line.find("0x"); target != std::string_view::npos)
        if (const auto to = std::stoull(std::string(line.substr(target)), nullptr, 16); to < address)
          instruction.back = to;
    code.push_back(std::move(instruction));
  });
  finish(code, kernel);
}

Kernels kernels_of(const std::filesystem::path& program, std::string_view architecture) {
  const auto tool = disassembler();
  const auto ask = [&](std::string_view option) {
    return output_of(
        fmt::format("'{}' {} -arch {} '{}' 2>/dev/null", tool, option, architecture, program.string()));
  };
  Kernels kernels;
  add_usage(ask("--dump-resource-usage"), kernels);
  add_code(ask("-sass"), kernels);
  if (kernels.empty())
    throw DeviceError(
        "machine code: expected kernels for {} in {}, got none: it is built without a CUDA toolkit, or for "
        "others",
        architecture, program.string());
  return kernels;
}

}  // namespace scrawl::bench
