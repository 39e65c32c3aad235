#pragma once
/// Descriptors of cuDNN's calls that are not graphs.

#include <functional>
#include <utility>

#include "kernels/cuda/vendor/cudnn.h"

namespace scrawl::cuda {

/// What two functions of cuDNN make and end.
template <class Raw>
class Owned {
 public:
  template <class Create, class Destroy>
  Owned(const Cudnn& cudnn, const Create& create, const Destroy& destroy) : destroy_(destroy) {
    cudnn.check(create(&raw_), "a descriptor");
  }
  ~Owned() {
    if (raw_) destroy_(raw_);
  }
  Owned(const Owned&) = delete;
  Owned(Owned&& other) noexcept
      : destroy_(std::move(other.destroy_)), raw_(std::exchange(other.raw_, nullptr)) {}

  Raw get() const { return raw_; }

 private:
  std::function<cudnnStatus_t(Raw)> destroy_;
  Raw raw_ = nullptr;
};

using OwnedTensor = Owned<cudnnTensorDescriptor_t>;

/// Row-major, of rank 3 or more. Throws Refused where an extent is more than an int holds.
OwnedTensor tensor(const Cudnn&, cudnnDataType_t, std::initializer_list<std::int64_t> dims);

/// Throws Refused where it does not fit.
int checked_int(std::int64_t);

}  // namespace scrawl::cuda
