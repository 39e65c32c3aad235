#pragma once
/// The fast CPU backend: oneDNN where it is best, our own OpenMP kernels elsewhere.

#include "kernels/backend.h"

namespace scrawl::cpu {

const Backend& backend();

/// Whether this processor has instructions for bf16 (AVX-512 BF16), and oneDNN may use them
/// (ONEDNN_MAX_CPU_ISA).
bool has_bf16();

/// Name and version of the libraries underneath, and the instructions that they may use.
std::string libraries();

}  // namespace scrawl::cpu
