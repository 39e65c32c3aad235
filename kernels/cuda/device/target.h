#pragma once
/// One source, two machines: nvcc compiles kernels for the GPU, the host compiler for kernels/simt. Files
/// without device code are compiled by the host compiler for either.

#if defined(SCRAWL_SIMT)

#include "kernels/simt/lane.h"

// Inlined, so that no other file's copy, whose accesses are not looked at, can take a function's place.
#define SCRAWL_KERNEL
#define SCRAWL_THREADS(...)
#define SCRAWL_DEVICE [[gnu::always_inline]] inline
#define SCRAWL_CUDA scrawl::simt

#else

#define SCRAWL_CUDA scrawl::cuda

#ifdef __CUDACC__
#define SCRAWL_KERNEL __global__
// A block's threads, at most, and the blocks that a multiprocessor should hold, at least: registers follow.
#define SCRAWL_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define SCRAWL_DEVICE __device__ __forceinline__
#endif

#endif

namespace SCRAWL_CUDA {

#ifdef SCRAWL_SIMT
/// Where a kernel calls a building block. simt names it in reports and can leave it out; on the GPU it is
/// nothing.
struct Place {
  const char* file;
  unsigned line;

  static constexpr Place here(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  constexpr Site site(std::string_view name) const { return {name, file, line}; }
};
#elif defined(__CUDACC__)
struct Place {
  SCRAWL_DEVICE static constexpr Place here() { return {}; }
};
#endif

}  // namespace SCRAWL_CUDA
