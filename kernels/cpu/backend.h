#pragma once
/// The fast CPU backend: oneDNN where it is best, our own OpenMP kernels elsewhere.

#include "kernels/backend.h"

namespace scrawl::cpu {

const Backend& backend();

/// Whether this processor computes in bf16 (AVX-512 BF16 or AMX); without it bf16 is emulated, slowly.
bool has_bf16();

/// Name and version of the libraries underneath, for people.
std::string libraries();

}  // namespace scrawl::cpu
