#include "kernels/cuda/device/runtime.h"

#include <cstdlib>

#include "kernels/error.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/runtime.h"
#endif

namespace SCRAWL_CUDA {

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

void end_launch(cudaStream_t stream, std::string_view kernel) {
  static const bool waits = [] {
    const char* const value = std::getenv("SCRAWL_SYNC");
    return value && std::string_view(value) == "1";
  }();
  if (!waits) return;
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &capturing), kernel);
  if (capturing == cudaStreamCaptureStatusNone) check(cudaStreamSynchronize(stream), kernel);
}

}  // namespace SCRAWL_CUDA
