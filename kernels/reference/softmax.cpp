#include "kernels/reference/softmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

/// Calls f(offset of the row) for each row of `classes` elements.
template <class F>
void each_row(const Tensor& x, F&& f) {
  const auto classes = static_cast<std::size_t>(x.extent(x.shape().rank - 1));
  for (std::size_t at = 0; at < x.values().size(); at += classes) f(at, classes);
}

}  // namespace

void log_softmax(std::span<double> x) {
  const double largest = *std::ranges::max_element(x);
  double sum = 0;
  for (const double value : x) sum += std::exp(value - largest);
  for (double& value : x) value = value - largest - std::log(sum);
}

void run(const SoftmaxForward& call) {
  Tensor y(call.x);
  each_row(y, [&](std::size_t at, std::size_t classes) { log_softmax(y.values().subspan(at, classes)); });
  if (call.kind == SoftmaxKind::softmax)
    for (double& value : y.values()) value = std::exp(value);
  y.store(call.y);
}

void run(const SoftmaxBackward& call) {
  const Tensor y_all(call.y), dy_all(call.dy);
  Tensor dx_all(call.dx.shape);
  each_row(y_all, [&](std::size_t at, std::size_t classes) {
    const auto y = y_all.values().subspan(at, classes), dy = dy_all.values().subspan(at, classes);
    const auto dx = dx_all.values().subspan(at, classes);
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) sum += call.kind == SoftmaxKind::softmax ? dy[k] * y[k] : dy[k];
    for (std::size_t k = 0; k < classes; ++k)
      dx[k] = call.kind == SoftmaxKind::softmax ? y[k] * (dy[k] - sum) : dy[k] - std::exp(y[k]) * sum;
  });
  dx_all.store(call.dx);
}

}  // namespace scrawl::reference
