#pragma once
/// What goes with products (gemm.cu), for products of libraries also: no device code is seen here.

#include "kernels/activation.h"
#include "kernels/cuda/device/target.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// db[column] = sum of dy's rows, in order. dy: (rows, columns) row-major.
std::size_t column_sums_bytes(std::int64_t rows, std::int64_t columns);
void column_sums(const View& dy, std::int64_t rows, const View& db, Bytes workspace, Stream);

/// y = f(products + bias). products (M,N) f32, read, and y (M,N) row-major; bias (N) f32 or absent.
void finish_product(float* products, const View& bias, Activation, const View& y, Stream);

}  // namespace SCRAWL_CUDA
