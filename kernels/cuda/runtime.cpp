#include "kernels/cuda/device/runtime.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include "kernels/error.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/runtime.h"
#endif

namespace SCRAWL_CUDA {

namespace {

std::atomic<std::uint64_t> launched{0};

}  // namespace

void check(cudaError_t error, std::string_view what, const std::source_location& where) {
  if (error == cudaSuccess) return;
  const std::string_view path(where.file_name());
  auto message = fmt::format("{}: {}: {} ({}:{})", what, cudaGetErrorName(error), cudaGetErrorString(error),
                             path.substr(path.rfind('/') + 1), where.line());
#ifdef SCRAWL_SIMT
  if (const auto report = runtime().last_report(); !report.empty()) message += "\n  " + report;
#endif
  if (error == cudaErrorMemoryAllocation) throw MemoryError("{}", message);
  throw DeviceError("{}", message);
}

#ifndef SCRAWL_SIMT
void allow_shared(const void* kernel, std::size_t bytes, std::string_view name) {
  constexpr std::size_t without_asking = 48 << 10;
  if (bytes <= without_asking) return;
  static std::mutex mutex;
  static std::set<std::pair<int, const void*>> allowed;  // by device
  int device = 0, most = 0;
  check(cudaGetDevice(&device), name);
  const std::lock_guard lock(mutex);
  if (!allowed.insert({device, kernel}).second) return;
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), name);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), name);
}
#endif

void end_launch(cudaStream_t stream, std::string_view kernel) {
  launched.fetch_add(1, std::memory_order_relaxed);
  static const bool waits = [] {
    const char* const value = std::getenv("SCRAWL_SYNC");
    return value && std::string_view(value) == "1";
  }();
  if (!waits) return;
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &capturing), kernel);
  if (capturing == cudaStreamCaptureStatusNone) check(cudaStreamSynchronize(stream), kernel);
}

std::uint64_t launches() { return launched.load(std::memory_order_relaxed); }

}  // namespace SCRAWL_CUDA
