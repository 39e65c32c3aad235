#include "runtime/device/open.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "runtime/device/choices.h"
#include "runtime/device/cpu.h"
#include "runtime/device/cuda.h"
#include "runtime/device/described.h"
#include "runtime/device/ranges.h"

namespace scrawl {

namespace {

using enum DeviceKind::Automatic;

std::string nothing() { return ""; }

#if !SCRAWL_HAS_CUDA
std::string without_cuda() {
  return "this build has no CUDA backend: install a CUDA toolkit, version 12 or later, and configure with "
         "-DSCRAWL_CUDA=ON; or take --device cpu";
}
#endif

#if !SCRAWL_HAS_SIMT
std::string without_simt() { return "this build has no simt: builds with sanitizers leave it out"; }
#endif

/// As `auto` prefers them.
constexpr DeviceKind kinds[] = {
#if SCRAWL_HAS_CUDA
    {"cuda", yes, cuda::unusable, cuda::open_device, cuda::summary},
#else
    {"cuda", yes, without_cuda, nullptr, nullptr},
#endif
    {"cpu", yes, nothing, cpu::open_device, cpu::summary},
#if SCRAWL_HAS_SIMT
    {"simt", no, simt::unusable, simt::open_device, simt::summary},
#else
    {"simt", no, without_simt, nullptr, nullptr},
#endif
};

/// "cuda, cpu or simt"
std::string names_of(std::span<const DeviceKind> all) {
  std::string names;
  for (std::size_t i = 0; i < all.size(); ++i)
    names += fmt::format("{}{}", i == 0 ? "" : i + 1 < all.size() ? ", " : " or ", all[i].name);
  return names;
}

std::unique_ptr<Device> following(std::unique_ptr<Device> device, const DeviceOptions& options) {
  if (!options.choices.empty())
    device->follow(std::make_shared<const Choices>(Choices::read(options.choices)));
  return device;
}

}  // namespace

std::unique_ptr<Device> open_device(const DeviceOptions& options, std::span<const DeviceKind> all) {
  if (options.threads < 0 || options.threads > 1024)
    throw UsageError("threads: expected 0 (all) to 1024, got {}", options.threads);
  if (options.device == "auto") {
    std::string warnings;
    for (const auto& kind : all) {
      if (kind.automatic == no) continue;
      const auto why = kind.unusable();
      if (!why.empty()) {
        if (kind.open) warnings += fmt::format("warning: {} is not used: {}\n", kind.name, why);
        continue;
      }
      fmt::print(stderr, "{}", warnings);
      return following(kind.open(options), options);
    }
    throw DeviceError("device auto: none of {} is usable", names_of(all));
  }
  const auto kind = std::ranges::find(all, options.device, &DeviceKind::name);
  if (kind == all.end())
    throw DeviceError("device: expected auto, {}, got {}", names_of(all), options.device);
  if (!kind->open) throw DeviceError("device {}: {}", kind->name, kind->unusable());
  return following(kind->open(options), options);
}

std::unique_ptr<Device> open_device(const DeviceOptions& options) { return open_device(options, kinds); }

std::vector<DeviceSummary> list_devices() {
  std::vector<DeviceSummary> all;
  for (const auto name : {"cpu", "cuda", "simt"}) {
    const auto& kind = *std::ranges::find(kinds, name, &DeviceKind::name);
    all.push_back(kind.summary ? kind.summary() : DeviceSummary{.name = name, .unusable = kind.unusable()});
  }
  return all;
}

std::unique_ptr<Device> open_for_planning(const DeviceOptions& options) {
  if (options.device != "cuda") return open_device(options);
  const auto why = std::ranges::find(kinds, "cuda", &DeviceKind::name)->unusable();
  auto described = why.empty() ? nullptr : described_cuda(options);
  if (!described) return open_device(options);
  fmt::print(
      stderr,
      "warning: device cuda: {}: planned for a GPU of {} multiprocessors that is not here; what vendor "
      "libraries would take there is unknown\n",
      why, described_multiprocessors);
  return following(std::move(described), options);
}

std::vector<LibrarySummary> list_libraries() {
  struct Use {
    std::string_view name, used_for;
  };
  static constexpr Use uses[] = {
      {"cuDNN", "what our own kernels refuse, and --kernels vendor"},
      {"cuBLASLt", "products that our own kernels refuse, and --kernels vendor"},
      {"NCCL", "training on several GPUs, which is not there yet"},
  };
  std::vector<LibrarySummary> all;
#if SCRAWL_HAS_CUDA
  all = cuda::libraries();
#else
  for (const auto& use : uses)
    all.push_back({.name = std::string(use.name), .unusable = "this build has no CUDA backend"});
#endif
  for (auto& library : all) {
    const auto* const use = std::ranges::find(uses, library.name, &Use::name);
    if (use == std::end(uses)) throw InternalError("libraries: nobody says what {} is for", library.name);
    library.used_for = use->used_for;
  }
  LibrarySummary nvtx{.name = "NVTX", .used_for = "ranges in profiles", .version = ranges_version()};
  if (nvtx.version.empty())
    nvtx.unusable = "its header was not there when this was built: it comes with a CUDA toolkit";
  all.push_back(std::move(nvtx));
  return all;
}

}  // namespace scrawl
