#include "kernels/cuda/vendor/owned.h"

#include <limits>
#include <vector>

#include "kernels/plan.h"

namespace scrawl::cuda {

int checked_int(std::int64_t value) {
  if (value > std::numeric_limits<int>::max())
    throw Refused("cuDNN: needs extents up to {}, got {}", std::numeric_limits<int>::max(), value);
  return static_cast<int>(value);
}

OwnedTensor tensor(const Cudnn& cudnn, cudnnDataType_t type, std::initializer_list<std::int64_t> dims) {
  std::vector<int> extents, strides(dims.size(), 1);
  std::int64_t all = 1;
  for (const auto extent : dims) {
    extents.push_back(checked_int(extent));
    all *= extent;
  }
  checked_int(all);
  for (auto i = std::ssize(extents) - 2; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    strides[at] = strides[at + 1] * extents[at + 1];
  }
  OwnedTensor made(cudnn, cudnn.create_tensor, cudnn.destroy_tensor);
  cudnn.check(
      cudnn.set_tensor(made.get(), type, static_cast<int>(dims.size()), extents.data(), strides.data()),
      "a tensor");
  return made;
}

}  // namespace scrawl::cuda
