#pragma once
/// The CUDA runtime, or simt's, whose names are the same.

#include <cstdint>
#include <source_location>
#include <string_view>

#include "kernels/cuda/device/target.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/runtime_api.h"
#else
#include <cuda_runtime_api.h>
#endif

namespace SCRAWL_CUDA {

/// Throws unless `error` is cudaSuccess: MemoryError where memory is out, DeviceError for everything else,
/// with what was done, where, and on simt the report of the kernel that failed.
void check(cudaError_t error, std::string_view what,
           const std::source_location& = std::source_location::current());

#ifndef SCRAWL_SIMT
/// Kernels must ask for more than 48 KiB of shared memory. A kernel's limit is shared by all threads, so it
/// is set once, to all that a block can have.
void allow_shared(const void* kernel, std::size_t bytes, std::string_view name);
#endif

/// Counts a kernel that was launched. With SCRAWL_SYNC=1 in the environment, waits for it, unless its stream
/// is captured.
void end_launch(cudaStream_t, std::string_view kernel);

/// Kernels of ours that this process has launched; what libraries launch, nobody counts.
std::uint64_t launches();

}  // namespace SCRAWL_CUDA
