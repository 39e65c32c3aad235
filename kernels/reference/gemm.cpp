#include "kernels/gemm.h"

#include "kernels/reference/activation.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

/// The tensor as a matrix: leading axes are rows.
Tensor matrix(const View& view) {
  const Tensor given(view);
  const auto columns = view.shape[view.shape.rank - 1];
  Tensor rows(Shape{columns == 0 ? 0 : view.shape.count() / columns, columns});
  std::ranges::copy(given.values(), rows.values().begin());
  return rows;
}

void store(const Tensor& matrix, const View& view) {
  Tensor shaped(view.shape);
  std::ranges::copy(matrix.values(), shaped.values().begin());
  shaped.store(view);
}

Tensor transposed(const Tensor& a) {
  Tensor t(Shape{a.extent(1), a.extent(0)});
  for (std::int64_t i = 0; i < a.extent(0); ++i)
    for (std::int64_t j = 0; j < a.extent(1); ++j) t(j, i) = a(i, j);
  return t;
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor y(Shape{a.extent(0), b.extent(1)});
  for (std::int64_t i = 0; i < a.extent(0); ++i)
    for (std::int64_t k = 0; k < a.extent(1); ++k)
      for (std::int64_t j = 0; j < b.extent(1); ++j) y(i, j) += a(i, k) * b(k, j);
  return y;
}

}  // namespace

void run(const Gemm& call) {
  const Tensor a(call.a), b(call.b);
  product(call.transpose_a == Transpose::yes ? transposed(a) : a,
          call.transpose_b == Transpose::yes ? transposed(b) : b)
      .store(call.y);
}

void run(const DenseForward& call) {
  const Tensor b(call.b);
  Tensor y = product(matrix(call.x), transposed(matrix(call.w)));
  for (std::int64_t row = 0; row < y.extent(0); ++row)
    for (std::int64_t o = 0; o < y.extent(1); ++o)
      y(row, o) = activate(call.activation, y(row, o) + (b.present() ? b(o) : 0));
  store(y, call.y);
}

void run(const DenseBackwardData& call) { store(product(matrix(call.dy), matrix(call.w)), call.dx); }

void run(const DenseBackwardWeight& call) {
  const Tensor dy = matrix(call.dy);
  Tensor db(Shape{dy.extent(1)});
  for (std::int64_t row = 0; row < dy.extent(0); ++row)
    for (std::int64_t o = 0; o < dy.extent(1); ++o) db(o) += dy(row, o);
  product(transposed(dy), matrix(call.x)).store(call.dw);
  db.store(call.db);
}

}  // namespace scrawl::reference
