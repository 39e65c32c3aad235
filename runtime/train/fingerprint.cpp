#include "runtime/train/fingerprint.h"

#include <elf.h>
#include <fmt/ranges.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "kernels/error.h"
#include "runtime/io/cpuinfo.h"

namespace scrawl {
namespace {

constexpr std::array<std::string_view, 6> kernel_flags{"avx2",        "avx512f",  "avx512_bf16",
                                                       "avx512_fp16", "amx_tile", "amx_bf16"};

/// The build id among an ELF image's notes: name size, description size, type, then both, each padded.
std::string find_build_id(std::span<const std::byte> notes, std::size_t alignment) {
  const auto padded = [&](std::size_t n) { return (n + alignment - 1) / alignment * alignment; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    const auto description_at = padded(sizeof note + note.n_namesz);
    const auto note_bytes = description_at + padded(note.n_descsz);
    if (note_bytes > notes.size()) break;
    const bool is_gnu = note.n_namesz == 4 && std::memcmp(notes.data() + sizeof note, "GNU", 4) == 0;
    if (is_gnu && note.n_type == NT_GNU_BUILD_ID) {
      std::string hex;
      for (const auto byte : notes.subspan(description_at, note.n_descsz))
        hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
      return hex;
    }
    notes = notes.subspan(note_bytes);
  }
  return {};
}

int read_notes(dl_phdr_info* image, std::size_t, void* found) {
  for (const auto& segment : std::span(image->dlpi_phdr, image->dlpi_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    const auto* begin = reinterpret_cast<const std::byte*>(image->dlpi_addr + segment.p_vaddr);
    const auto id = find_build_id({begin, segment.p_memsz}, std::max<std::size_t>(segment.p_align, 4));
    if (!id.empty()) *static_cast<std::string*>(found) = id;
  }
  return 1;  // the first image is the executable; the libraries that follow do not matter
}

}  // namespace

std::string build_id() {
  std::string id;
  ::dl_iterate_phdr(read_notes, &id);
  return id.empty() ? "unknown" : id;
}

Fingerprint current_fingerprint(const Selection& selection, const std::string& libraries) {
  std::vector<std::string> flags;
  std::istringstream all(cpuinfo("flags"));
  for (std::string flag; all >> flag;)
    if (std::ranges::find(kernel_flags, flag) != kernel_flags.end()) flags.push_back(flag);
  return {.build_id = build_id(),
          .cpu = cpuinfo("model name"),
          .cpu_flags = fmt::format("{}", fmt::join(flags, " ")),
          .libraries = libraries,
          .kernels = std::string(name_of(selection.kernels)),
          .f32_products = selection.f32_products == F32Products::tf32 ? "tf32" : "exact",
          .threads = selection.threads,
          .multiprocessors = selection.multiprocessors};
}

void require_same_fingerprint(const nlohmann::json& recorded, const Fingerprint& current) {
  Fingerprint expected;
  try {
    recorded.get_to(expected);
  } catch (const nlohmann::json::exception& error) {
    throw DataError("checkpoint: expected the fingerprint of a run, got {}", error.what());
  }
  std::string differences;
  const auto compare = [&](std::string_view what, const auto& a, const auto& b) {
    if (a != b) differences += fmt::format("; {}: expected {}, got {}", what, a, b);
  };
  compare("build", expected.build_id, current.build_id);
  compare("processor", expected.cpu, current.cpu);
  compare("processor flags", expected.cpu_flags, current.cpu_flags);
  compare("libraries", expected.libraries, current.libraries);
  compare("kernels", expected.kernels, current.kernels);
  compare("products of f32", expected.f32_products, current.f32_products);
  compare("threads", expected.threads, current.threads);
  compare("multiprocessors", expected.multiprocessors, current.multiprocessors);
  if (expected.choices != current.choices) {
    compare("choice file", expected.choices, current.choices);
    differences += expected.choices == "none"
                       ? ", and the run began without --choices"
                       : fmt::format(", and the run began with --choices {}", expected.choices_file);
  }
  if (!differences.empty())
    throw UsageError("cannot resume bit for bit{}; to continue from the weights alone, use --load",
                     differences);
}

}  // namespace scrawl
