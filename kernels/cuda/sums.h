#pragma once
/// What follows products (gemm.cu), for products of libraries also.

#include "kernels/activation.h"
#include "kernels/cuda/device/target.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// An image in NHWC as a matrix: pixels by channels.
inline View as_pixels(const View& image) {
  return make_view(image.data, image.type,
                   {image.shape[0] * image.shape[2] * image.shape[3], image.shape[1]});
}

/// y[k] = sum_n x[n,k], y f32, in a fixed order. x (N,K) row-major; the workspace has column_sums_bytes(x).
std::size_t column_sums_bytes(const View& x);
void launch_column_sums(const View& x, const View& y, Bytes workspace, Stream);

/// y = f(products + bias). products (M,N) f32 and y (M,N) row-major; bias (N) f32 or absent.
void launch_finish(const float* products, const View& bias, Activation, const View& y, Stream);

}  // namespace SCRAWL_CUDA
