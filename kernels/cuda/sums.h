#pragma once
/// What follows products (gemm.cu), for products of libraries also.

#include "kernels/activation.h"
#include "kernels/cuda/device/target.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// y[k] = sum_n x[n,k], y f32, in a fixed order. x (N,K) row-major; the workspace has column_sums_bytes(x).
std::size_t column_sums_bytes(const View& x);
void launch_column_sums(const View& x, const View& y, Bytes workspace, Stream);

/// y = f(products + bias). products (M,N) f32 and y (M,N) row-major; bias (N) f32 or absent.
void launch_finish(const float* products, const View& bias, Activation, const View& y, Stream);

}  // namespace SCRAWL_CUDA
