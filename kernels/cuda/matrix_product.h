#pragma once
/// The calls of gemm.h as one product of matrices each.

#include "kernels/cuda/device/target.h"
#include "kernels/cuda/operands.h"
#include "kernels/gemm.h"

namespace SCRAWL_CUDA {

/// A product as its operands are stored.
struct MatrixProduct {
  View a, b;
  Transpose transpose_a, transpose_b;
  View bias, y;
  Activation activation = Activation::none;

  int m() const { return extent(a, transpose_a == Transpose::yes ? 1 : 0); }
  int n() const { return extent(b, transpose_b == Transpose::yes ? 0 : 1); }
  int k() const { return extent(a, transpose_a == Transpose::yes ? 0 : 1); }

 private:
  static int extent(const View& x, int axis) { return static_cast<int>(x.shape[axis]); }
};

/// Leading axes as one.
inline View as_matrix(View x) {
  if (x.shape.rank == 2) return x;
  const auto columns = x.shape[x.shape.rank - 1];
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.shape.rank; ++axis) rows *= x.shape[axis];
  return make_view(x.data, x.type, {rows, columns});
}

inline MatrixProduct operands_of(const Gemm& c) { return {c.a, c.b, c.transpose_a, c.transpose_b, {}, c.y}; }
inline MatrixProduct operands_of(const DenseForward& c) {
  return {as_matrix(c.x), c.w, Transpose::no, Transpose::yes, c.b, as_matrix(c.y), c.activation};
}
inline MatrixProduct operands_of(const DenseBackwardData& c) {
  return {as_matrix(c.dy), c.w, Transpose::no, Transpose::no, {}, as_matrix(c.dx)};
}
inline MatrixProduct operands_of(const DenseBackwardWeight& c) {
  return {as_matrix(c.dy), as_matrix(c.x), Transpose::yes, Transpose::no, {}, c.dw};
}

/// Rows of a and b may lie apart: those of some columns of a wider matrix.
inline void place(Gemm& c) {
  for (auto* operand : {&c.a, &c.b})
    if (operand->layout || operand->strides[1] != 1 || operand->strides[0] < operand->shape[1])
      make_row_major(*operand);
  make_row_major(c.y);
}
inline void place(DenseForward& c) { make_row_major(c.x, c.w, c.b, c.y); }
inline void place(DenseBackwardData& c) { make_row_major(c.dy, c.w, c.dx); }
inline void place(DenseBackwardWeight& c) { make_row_major(c.x, c.dy, c.dw, c.db); }

}  // namespace SCRAWL_CUDA
