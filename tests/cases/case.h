#pragma once
/// What case lists share.

#include <array>

#include "kernels/dtype.h"

namespace scrawl::test {

enum class Optional : std::uint8_t { absent, present };

/// The types that tensors are stored in; backends that lack one pass over its cases.
inline constexpr std::array storage_types{DType::f32, DType::bf16, DType::f16};

}  // namespace scrawl::test
