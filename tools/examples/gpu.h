#pragma once
/// The GPU of the examples: CUDA's runtime and scrawl's backend for it; or, with SCRAWL_SIMT, the machine
/// that runs the same kernels without a GPU, whose runtime has the same names.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/cuda/backend.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/runtime_api.h"
namespace gpu = scrawl::simt;
using gpu::cudaError_t, gpu::cudaSuccess, gpu::cudaErrorNoDevice, gpu::cudaErrorInsufficientDriver;
using gpu::cudaGetErrorString, gpu::cudaDeviceGetAttribute, gpu::cudaDevAttrMultiProcessorCount;
using gpu::cudaMalloc, gpu::cudaFree, gpu::cudaMemcpyAsync, gpu::cudaMemcpyDefault;
using gpu::cudaStream_t, gpu::cudaStreamCreateWithFlags, gpu::cudaStreamNonBlocking;
using gpu::cudaStreamSynchronize, gpu::cudaStreamDestroy;
#else
#include <cuda_runtime_api.h>
namespace gpu = scrawl::cuda;
#endif

/// Ends the program where a call failed: with 4 where there is no GPU.
inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  const bool none = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver;
  std::fprintf(stderr, "%s%s\n", none ? "no GPU: " : "", cudaGetErrorString(error));
  std::exit(none ? 4 : 1);
}

template <class T>
T* allocate(std::size_t count) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<std::size_t>(count * sizeof(T), 1)));
  return static_cast<T*>(memory);
}

template <class T>
T* to_gpu(const std::vector<T>& values, cudaStream_t stream) {
  T* const memory = allocate<T>(values.size());
  check(cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(T), cudaMemcpyDefault, stream));
  check(cudaStreamSynchronize(stream));
  return memory;
}

template <class T>
std::vector<T> to_host(const T* memory, std::size_t count, cudaStream_t stream) {
  std::vector<T> values(count);
  check(cudaMemcpyAsync(values.data(), memory, count * sizeof(T), cudaMemcpyDefault, stream));
  check(cudaStreamSynchronize(stream));
  return values;
}
