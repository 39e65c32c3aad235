#include <cuda_runtime_api.h>

#include "kernels/cuda/vendor/per_device.h"

namespace scrawl::cuda {

int current_device() {
  int device = -1;
  if (cudaGetDevice(&device) == cudaSuccess) return device;
  cudaGetLastError();  // nobody else is to find it
  return -1;
}

}  // namespace scrawl::cuda
