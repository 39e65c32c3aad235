#include "kernels/cpu/block_product.h"

#include <algorithm>

#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

namespace {

/// y[r][v] (+)= sum_k a_r[k] b[v][k], r < kRows, v < kVectors. The rows of `a` are kRowStep apart; k takes
/// `runs` runs of `length` values that are kStep apart, the runs run_stride. b: kVectors blocks.
template <int kRows, int kVectors, int kRowStep, int kStep>
[[gnu::noinline]] void multiply_tile(const float* a, std::int64_t runs, std::int64_t run_stride,
                                     std::int64_t length, BlockMatrix<const float> b, BlockMatrix<float> y,
                                     Sum sum) {
  f32x16 sums[kRows][kVectors];
#pragma GCC unroll 14
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = sum == Sum::add ? load(y.block(v) + r * lanes) : f32x16{};
  const float* rows = b.data;
  for (std::int64_t run = 0; run < runs; ++run, a += run_stride) {
    const float* at = a;
    for (std::int64_t k = 0; k < length; ++k, at += kStep, rows += lanes) {
      f32x16 columns[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) columns[v] = load(rows + v * b.block_stride);
#pragma GCC unroll 14
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] += columns[v] * at[r * kRowStep];
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(y.block(v) + r * lanes, sums[r][v]);
}

/// Two blocks of columns at a time, the last one alone where their number is odd.
template <class F>
void each_column_pair(std::int64_t column_blocks, F&& f) {
  std::int64_t block = 0;
  for (; block + 2 <= column_blocks; block += 2) f.template operator()<2>(block);
  if (block < column_blocks) f.template operator()<1>(block);
}

}  // namespace

void multiply(BlockMatrix<const float> a, BlockMatrix<const float> b, BlockMatrix<float> y, std::int64_t rows,
              std::int64_t depth_blocks, std::int64_t column_blocks, Sum sum) {
  constexpr std::int64_t chunk = 8;  // 128 x 32 values of b are 16 KiB: they stay in L1 while all rows pass
  for (std::int64_t depth = 0; depth < depth_blocks; depth += chunk) {
    const auto count = std::min(chunk, depth_blocks - depth);
    const auto first_or_add = depth == 0 ? sum : Sum::add;
    each_column_pair(column_blocks, [&]<int kVectors>(std::int64_t column) {
      for (std::int64_t row = 0; row < rows; row += product_rows)
        multiply_tile<product_rows, kVectors, lanes, 1>(
            a.block(depth) + row * lanes, count, a.block_stride, lanes,
            {b.block(column) + depth * lanes * lanes, b.block_stride},
            {y.block(column) + row * lanes, y.block_stride}, first_or_add);
    });
  }
}

void multiply_transposed(BlockMatrix<const float> a, BlockMatrix<const float> b, BlockMatrix<float> y,
                         std::int64_t depth, std::int64_t row_blocks, std::int64_t column_blocks, Sum sum) {
  each_column_pair(column_blocks, [&]<int kVectors>(std::int64_t column) {
    for (std::int64_t block = 0; block < row_blocks; ++block)
      for (std::int64_t row = 0; row < lanes; row += transposed_product_rows)
        multiply_tile<transposed_product_rows, kVectors, 1, lanes>(
            a.block(block) + row, 1, 0, depth, {b.block(column), b.block_stride},
            {y.block(column) + (block * lanes + row) * lanes, y.block_stride}, sum);
  });
}

}  // namespace scrawl::cpu
