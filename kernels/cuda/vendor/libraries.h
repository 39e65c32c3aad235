#pragma once
/// What this machine has of the libraries that are opened when asked for.

#include <string>
#include <vector>

namespace scrawl::cuda {

struct LibraryReport {
  std::string name;
  std::string version = {};  ///< "9.19.0"
  std::string path = {};
  std::string unusable = {};  ///< why it cannot be used, or empty
};

LibraryReport cudnn_report();
LibraryReport cublaslt_report();
LibraryReport nccl_report();

/// All of them, for `scrawl devices`.
std::vector<LibraryReport> vendor_libraries();

}  // namespace scrawl::cuda
