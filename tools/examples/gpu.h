#pragma once
/// The GPU of the examples: CUDA's runtime and scrawl's backend for it; or, with SCRAWL_SIMT, the machine
/// that runs the same kernels without a GPU, whose runtime has the same names.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
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

inline int multiprocessors() {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
  return count;
}

struct Stream {
  cudaStream_t stream = nullptr;

  Stream() { check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)); }
  ~Stream() { check(cudaStreamDestroy(stream)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator scrawl::Stream() const { return reinterpret_cast<scrawl::Stream>(stream); }
};

struct Free {
  void operator()(void* memory) const { check(cudaFree(memory)); }
};
template <class T>
using Memory = std::unique_ptr<T[], Free>;  ///< on the GPU

template <class T>
Memory<T> allocate(std::size_t count) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<std::size_t>(count * sizeof(T), 1)));
  return Memory<T>(static_cast<T*>(memory));
}

template <class T>
Memory<T> to_gpu(const std::vector<T>& values, const Stream& on) {
  auto memory = allocate<T>(values.size());
  check(
      cudaMemcpyAsync(memory.get(), values.data(), values.size() * sizeof(T), cudaMemcpyDefault, on.stream));
  check(cudaStreamSynchronize(on.stream));
  return memory;
}

template <class T>
std::vector<T> to_host(const Memory<T>& memory, std::size_t count, const Stream& on) {
  std::vector<T> values(count);
  check(cudaMemcpyAsync(values.data(), memory.get(), count * sizeof(T), cudaMemcpyDefault, on.stream));
  check(cudaStreamSynchronize(on.stream));
  return values;
}
