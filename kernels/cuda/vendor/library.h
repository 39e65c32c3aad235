#pragma once
/// Libraries that are opened when first asked for, never linked: a build with their headers runs where they
/// are not, and a build machine needs none of them.

#include <string>
#include <string_view>
#include <vector>

namespace scrawl::cuda {

/// How a library is found. Its file is looked for where `variable` of the environment says (and then nowhere
/// else), on the loader's path, and in `folders` of Python environments: of $VIRTUAL_ENV, $CONDA_PREFIX and
/// the python3 on PATH. Python itself is not asked.
struct LibraryNames {
  std::string_view name;                  ///< "cuDNN", for people
  std::string_view variable;              ///< "SCRAWL_CUDNN"
  std::vector<std::string_view> files;    ///< preferred first
  std::vector<std::string_view> folders;  ///< below site-packages: "nvidia/cudnn/lib"
};

LibraryNames cudnn_names();
/// `major` of the toolkit's headers: its structures and enumerations change with it.
LibraryNames cublaslt_names(int major);
LibraryNames nccl_names();

/// An open library. Stays open for the life of the process: its threads and exit handlers do, too.
class SharedLibrary {
 public:
  /// Throws DeviceError, with each place and what the loader said there.
  explicit SharedLibrary(const LibraryNames&);

  /// Throws DeviceError if there is none of this name.
  void* symbol(const char* name) const;
  std::string path() const { return path_; }

 private:
  bool open(const std::string& file);

  std::string name_, path_, failures_;
  void* handle_ = nullptr;
};

/// A function of a library, by its declaration: `Function<decltype(cudnnCreate)> create{library,
/// "cudnnCreate"}`.
template <class Signature>
class Function {
 public:
  Function(const SharedLibrary& library, const char* name)
      : function_(reinterpret_cast<Signature*>(library.symbol(name))) {}

  template <class... Arguments>
  auto operator()(Arguments... arguments) const {
    return function_(arguments...);
  }

 private:
  Signature* function_;
};

}  // namespace scrawl::cuda
