#pragma once
/// What case lists share.

#include <array>

#include "kernels/dtype.h"

namespace scrawl::test {

enum class Optional : std::uint8_t { absent, present };

/// The storage types that every kernel takes.
inline constexpr std::array storage_types{DType::f32, DType::bf16};

}  // namespace scrawl::test
