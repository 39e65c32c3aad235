#pragma once
/// Pooling on tensors, which the reference of pooling and that of fused batch norm share.

#include "kernels/pool.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {

struct Pooled {
  Tensor y, argmax;
};

/// y and argmax (zeros for average) over the pixels of x that are valid.
Pooled pool(const PoolParams&, const Tensor& x, const Tensor& x_widths, const Tensor& y_widths);

/// dx: each element of dy handed to the pixels of x that made it.
Tensor unpool(const PoolParams&, const Tensor& dy, const Tensor& argmax, const Shape& x,
              const Tensor& x_widths, const Tensor& y_widths);

}  // namespace scrawl::reference
