#pragma once
/// One source, two machines: nvcc compiles kernels for the GPU, the host compiler for kernels/simt.

#ifdef __CUDACC__

#define SCRAWL_KERNEL __global__
#define SCRAWL_DEVICE __device__ __forceinline__
#define SCRAWL_CUDA scrawl::cuda

#elif defined(SCRAWL_SIMT)

#include "kernels/simt/lane.h"

// Inlined, so that no other file's copy, whose accesses are not looked at, can take a function's place.
#define SCRAWL_KERNEL
#define SCRAWL_DEVICE [[gnu::always_inline]] inline
#define SCRAWL_CUDA scrawl::simt

#else
#error "device code is compiled by nvcc, or for simt: see scrawl_compile_for_simt"
#endif

namespace SCRAWL_CUDA {

/// Where a kernel calls a building block. simt names it in reports and can leave it out; on the GPU it is
/// nothing.
#ifdef __CUDACC__
struct Place {
  SCRAWL_DEVICE static constexpr Place here() { return {}; }
};
#else
struct Place {
  const char* file;
  unsigned line;

  static constexpr Place here(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  constexpr Site site(std::string_view name) const { return {name, file, line}; }
};
#endif

}  // namespace SCRAWL_CUDA
