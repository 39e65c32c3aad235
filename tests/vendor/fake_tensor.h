#pragma once
/// Tensors of the fake cuDNN's calls that are not graphs.

#include <vector>

struct cudnnTensorStruct {
  std::vector<int> dims, strides;
};
