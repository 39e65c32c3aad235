#include "kernels/cuda/vendor/cudnn.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/per_device.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/error.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

Cudnn::Cudnn(const LibraryNames& names) : library(names) {
  if (version() / 10000 != CUDNN_MAJOR)
    throw DeviceError("cuDNN: {}: expected version {}, got {}", library.path(), CUDNN_MAJOR, version_text());
}

std::string Cudnn::version_text() const {
  const auto v = version();
  const auto major = v < 10000 ? v / 1000 : v / 10000;  // up to version 8, 8907
  return fmt::format("{}.{}.{}", major, v / 100 % (v < 10000 ? 10 : 100), v % 100);
}

void Cudnn::check(cudnnStatus_t status, std::string_view what, const std::source_location& where) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char words[1024] = "";
  last_error(words, sizeof(words));
  const std::string_view path(where.file_name());
  throw DeviceError("cuDNN: {}: {}: {} ({}:{})", what, name_of(status), words,
                    path.substr(path.rfind('/') + 1), where.line());
}

const Cudnn& cudnn() {
  static const Opened<Cudnn> opened;
  return opened.get();
}

LibraryReport cudnn_report() {
  try {
    return {.name = "cuDNN", .version = cudnn().version_text(), .path = cudnn().library.path()};
  } catch (const DeviceError& error) {
    return {.name = "cuDNN", .unusable = error.what()};
  }
}

CudnnHandle::CudnnHandle(const Cudnn& cudnn) : cudnn_(cudnn) {
  cudnn_.check(cudnn_.create(&handle_), current_device() < 0 ? "no GPU: a handle" : "a handle");
}

CudnnHandle::~CudnnHandle() {
  if (const auto status = cudnn_.destroy(handle_); status != CUDNN_STATUS_SUCCESS)
    fmt::print(stderr, "cuDNN: a handle is closed: {}\n", cudnn_.name_of(status));
}

void CudnnHandle::take(Stream stream) {
  cudnn_.check(cudnn_.set_stream(handle_, reinterpret_cast<cudaStream_t>(stream)), "a stream");
}

std::shared_ptr<CudnnHandle> cudnn_handle() {
  static PerDevice<CudnnHandle> handles;
  return handles.get([] { return std::make_shared<CudnnHandle>(cudnn()); });
}

cudnnDataType_t cudnn_type(DType type) {
  switch (type) {
    case DType::f32:
      return CUDNN_DATA_FLOAT;
    case DType::f16:
      return CUDNN_DATA_HALF;
    case DType::bf16:
      return CUDNN_DATA_BFLOAT16;
    case DType::i32:
      return CUDNN_DATA_INT32;
    default:
      throw Refused("cuDNN: needs f32, f16 or bf16, got {}", name_of(type));
  }
}

}  // namespace scrawl::cuda
