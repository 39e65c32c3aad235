/// Matrices of vectors, transposed. Compiled twice: for this machine's processor and for the oldest one.

#include "kernels/cpu/transpose.h"

#include <gtest/gtest.h>

namespace scrawl::cpu {
namespace {

/// Rows of different values: lane c of row r is 16 r + c.
template <int kRows>
struct Matrix {
  f32x16 rows[kRows];

  Matrix() {
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < lanes; ++c) rows[r][c] = static_cast<float>(lanes * r + c);
  }
  float at(int position) const { return rows[position / lanes][position % lanes]; }
};

TEST(transpose, swaps_rows_and_columns) {
  Matrix<lanes> matrix;
  transpose(matrix.rows);
  for (int r = 0; r < lanes; ++r)
    for (int c = 0; c < lanes; ++c) EXPECT_EQ(matrix.rows[c][r], lanes * r + c);
}

template <int kRows>
void expect_interleaved() {
  Matrix<kRows> matrix;
  interleave(matrix.rows);
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < lanes; ++c) EXPECT_EQ(matrix.at(c * kRows + r), lanes * r + c) << kRows << " rows";
  deinterleave(matrix.rows);
  for (int i = 0; i < kRows * lanes; ++i) EXPECT_EQ(matrix.at(i), i) << kRows << " rows";
}

TEST(transpose, interleaves_a_few_rows_and_takes_them_apart_again) {
  expect_interleaved<1>();
  expect_interleaved<2>();
  expect_interleaved<4>();
  expect_interleaved<8>();
}

}  // namespace
}  // namespace scrawl::cpu
