#pragma once
/// Our own matrix products in f32 on matrices that lie in blocks of 16 columns: element (i, j) at
/// j / 16 * block_stride + i * 16 + j % 16. Channels of images, sums and weights all have that form, so that
/// nothing is packed on the way.
///
/// Register tiles are 14 x 32 (multiply) and 8 x 32 (multiply_transposed). On Emerald Rapids, one core: 92%
/// and 94% of the FMA rate of 183 GFLOP/s for 112x512x256, 83% for 112x32x64; 7 x 64 gives 90% and 68%. bf16
/// is widened before: there vdpbf16ps issues every other cycle, which is half the products of f32 FMAs.
/// Each sum is one chain of FMAs in the order of the inner index, whatever the tile.

#include <cstdint>

namespace scrawl::cpu {

template <class T>
struct BlockMatrix {
  T* data;
  std::int64_t block_stride;  ///< from 16 columns to the next 16

  T* block(std::int64_t i) const { return data + i * block_stride; }
};

inline constexpr std::int64_t product_rows = 14;            ///< rows come in multiples of these
inline constexpr std::int64_t transposed_product_rows = 8;  ///< likewise, and divides 16

enum class Sum : std::uint8_t { start, add };  ///< overwrite the result, or add to it

/// y (+)= a b.  a (rows, 16 depth_blocks), b (16 depth_blocks, 16 column_blocks).
/// rows: a multiple of product_rows.
void multiply(BlockMatrix<const float> a, BlockMatrix<const float> b, BlockMatrix<float> y, std::int64_t rows,
              std::int64_t depth_blocks, std::int64_t column_blocks, Sum sum);

/// y (+)= a^T b.  a (depth, 16 row_blocks), b (depth, 16 column_blocks), y (16 row_blocks, 16 column_blocks).
void multiply_transposed(BlockMatrix<const float> a, BlockMatrix<const float> b, BlockMatrix<float> y,
                         std::int64_t depth, std::int64_t row_blocks, std::int64_t column_blocks, Sum sum);

}  // namespace scrawl::cpu
