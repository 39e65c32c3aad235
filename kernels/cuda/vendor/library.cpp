#include "kernels/cuda/vendor/library.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "kernels/error.h"

namespace scrawl::cuda {

namespace {

namespace fs = std::filesystem;

/// Empty where it is not set.
std::string environment(std::string_view variable) {
  const char* const value = std::getenv(std::string(variable).c_str());
  return value ? value : "";
}

/// The folder above the bin folder that has python3. A virtual environment's python3 is a link: not followed.
std::string prefix_of_python() {
  const auto path = environment("PATH");
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find(':', begin), path.size());
    const fs::path folder = path.substr(begin, end - begin);
    std::error_code none;
    if (!folder.empty() && fs::exists(folder / "python3", none)) return (folder / "..").lexically_normal();
    begin = end + 1;
  }
  return "";
}

/// Where packages of an environment lie, those of the latest Python first.
std::vector<fs::path> package_folders(const fs::path& prefix) {
  std::vector<fs::path> pythons;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(prefix / "lib", none))
    if (entry.path().filename().string().starts_with("python3")) pythons.push_back(entry.path());
  std::ranges::sort(pythons, [](const fs::path& a, const fs::path& b) {  // 3.9 before 3.11
    const auto x = a.filename().string(), y = b.filename().string();
    return x.size() != y.size() ? x.size() > y.size() : x > y;
  });
  std::vector<fs::path> folders;
  for (const auto& python : pythons)
    for (const auto packages : {"site-packages", "dist-packages"}) folders.push_back(python / packages);
  return folders;
}

}  // namespace

LibraryNames cudnn_names() { return {"cuDNN", "SCRAWL_CUDNN", {"libcudnn.so.9"}, {"nvidia/cudnn/lib"}}; }

LibraryNames cublaslt_names(int major) {
  if (major >= 13) return {"cuBLASLt", "SCRAWL_CUBLASLT", {"libcublasLt.so.13"}, {"nvidia/cu13/lib"}};
  return {"cuBLASLt", "SCRAWL_CUBLASLT", {"libcublasLt.so.12"}, {"nvidia/cublas/lib"}};
}

LibraryNames nccl_names() { return {"NCCL", "SCRAWL_NCCL", {"libnccl.so.2"}, {"nvidia/nccl/lib"}}; }

SharedLibrary::SharedLibrary(const LibraryNames& names) : name_(names.name) {
  if (const auto chosen = environment(names.variable); !chosen.empty()) {
    if (open(chosen)) return;
    throw DeviceError("{}: {} names a file that cannot be opened:{}", name_, names.variable, failures_);
  }
  for (const auto file : names.files)
    if (open(std::string(file))) return;
  for (const auto& prefix : {environment("VIRTUAL_ENV"), environment("CONDA_PREFIX"), prefix_of_python()}) {
    if (prefix.empty()) continue;
    for (const auto& packages : package_folders(prefix))
      for (const auto folder : names.folders)
        for (const auto file : names.files) {
          const auto path = packages / folder / file;
          std::error_code none;
          if (fs::exists(path, none) && open(path)) return;
        }
  }
  throw DeviceError("{}: not found (set {}, or LD_LIBRARY_PATH, or install it into a Python environment):{}",
                    name_, names.variable, failures_);
}

bool SharedLibrary::open(const std::string& file) {
  handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) {
    failures_ += fmt::format("\n  {}", dlerror());
    return false;
  }
  link_map* loaded = nullptr;
  const bool is_known = dlinfo(handle_, RTLD_DI_LINKMAP, &loaded) == 0 && loaded->l_name[0] != '\0';
  path_ = is_known ? loaded->l_name : file;
  return true;
}

void* SharedLibrary::symbol(const char* name) const {
  void* const found = dlsym(handle_, name);
  if (!found) throw DeviceError("{}: {} has no function {}", name_, path_, name);
  return found;
}

}  // namespace scrawl::cuda
