#pragma once
/// What the bits of a training run depend on besides its inputs: the binary, the libraries, the machine,
/// the threads or multiprocessors, the kernels that were asked for and those that a choice file named.

#include <nlohmann/json.hpp>
#include <string>

#include "kernels/plan.h"

namespace scrawl {

struct Fingerprint {
  std::string build_id;      ///< of the running executable
  std::string cpu;           ///< model name
  std::string cpu_flags;     ///< those that choose kernels: "avx2 avx512f avx512_bf16"
  std::string libraries;     ///< with versions, and what they may use of the processor
  std::string kernels;       ///< --kernels
  std::string f32_products;  ///< "exact" or "tf32"
  int threads = 0, multiprocessors = 0;
  std::string choices = "none";   ///< hash of the choice file
  std::string choices_file = {};  ///< where it lay, for who looks for it; may be elsewhere when resumed

  bool operator==(const Fingerprint&) const = default;
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(Fingerprint, build_id, cpu, cpu_flags, libraries, kernels, f32_products,
                                 threads, multiprocessors, choices, choices_file)
};

/// The GNU build id of the running executable in hex: a hash of its contents, made by the linker. "unknown"
/// for an executable without one.
std::string build_id();

/// This binary on this machine, with a device's choice of kernels and its libraries.
Fingerprint current_fingerprint(const Selection&, const std::string& libraries);

/// Throws UsageError, with each field that differs as expected (recorded) and got (current), unless a run
/// that was made under `recorded` would continue bit for bit under `current`; DataError where `recorded` is
/// not a fingerprint.
void require_same_fingerprint(const nlohmann::json& recorded, const Fingerprint& current);

}  // namespace scrawl
