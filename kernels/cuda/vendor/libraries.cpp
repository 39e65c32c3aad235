#include "kernels/cuda/vendor/libraries.h"

#include "kernels/cuda/vendor/library.h"
#include "kernels/error.h"

namespace scrawl::cuda {

LibraryReport nccl_report() {
  LibraryReport report{.name = "NCCL"};
  try {
    const SharedLibrary library(nccl_names());
    const Function<int(int*)> version(library, "ncclGetVersion");
    int v = 0;
    if (version(&v) != 0) throw DeviceError("NCCL: {} does not know its version", library.path());
    report.version = fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
    report.path = library.path();
  } catch (const DeviceError& error) {
    report.unusable = error.what();
  }
  return report;
}

std::vector<LibraryReport> vendor_libraries() { return {cudnn_report(), cublaslt_report(), nccl_report()}; }

}  // namespace scrawl::cuda
