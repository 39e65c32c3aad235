#pragma once
/// Storage types in registers: arithmetic is f32.

#include <cstdint>

#include "kernels/cuda/device/target.h"
#include "kernels/dtype.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace SCRAWL_CUDA {

SCRAWL_DEVICE float to_float(float x) { return x; }

SCRAWL_DEVICE float to_float(bf16 x) {
#ifdef __CUDACC__
  return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
#else
  return static_cast<float>(x);
#endif
}

SCRAWL_DEVICE float to_float(f16 x) {
#ifdef __CUDACC__
  return __half2float(__ushort_as_half(x.bits));
#else
  return static_cast<float>(x);
#endif
}

/// Rounded to nearest, ties to even.
template <class T>
SCRAWL_DEVICE T from_float(float x) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, bf16>) {
    bf16 y;
    y.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
    return y;
  } else if constexpr (std::is_same_v<T, f16>) {
    f16 y;
    y.bits = __half_as_ushort(__float2half_rn(x));
    return y;
  } else {
    return x;
  }
#else
  return static_cast<T>(x);
#endif
}

/// f32 with 10 bits of mantissa, rounded to nearest, ties away from zero, as tensor cores take it.
SCRAWL_DEVICE float to_tf32(float x) {
#ifdef __CUDACC__
  std::uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return __uint_as_float(y);
#else
  auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;  // infinities and NaN stay
  return std::bit_cast<float>(bits & 0xffffe000u);
#endif
}

}  // namespace SCRAWL_CUDA
