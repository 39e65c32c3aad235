#pragma once
/// The moments of images, which the reference of batch norm and that of the convolution before it share.

#include "kernels/reference/tensor.h"

namespace scrawl::reference {

struct Moments {
  Tensor mean, variance;  ///< (C)
};

/// Of the valid pixels of x (N,C,H,W); 0 where there are none.
Moments moments(const Tensor& x, const Tensor& widths);

}  // namespace scrawl::reference
