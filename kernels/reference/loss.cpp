#include "kernels/loss.h"

#include <cmath>

#include "kernels/reference/operations.h"
#include "kernels/reference/softmax.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {

void run(const CrossEntropy& call) {
  const Tensor adjustment(call.adjustment), targets(call.targets);
  Tensor x(call.x), loss(call.loss.shape), d_x(call.x.shape);
  const auto classes = x.extent(1);
  for (std::int64_t n = 0; n < x.extent(0); ++n) {
    const auto target = static_cast<std::int64_t>(targets(n));
    if (target < 0) continue;
    const auto row =
        x.values().subspan(static_cast<std::size_t>(n * classes), static_cast<std::size_t>(classes));
    if (adjustment.present())
      for (std::int64_t k = 0; k < classes; ++k) x(n, k) += adjustment(k);
    log_softmax(row);
    for (std::int64_t k = 0; k < classes; ++k) {
      const double q = (k == target ? 1.0 - call.label_smoothing : 0) +
                       call.label_smoothing / static_cast<double>(classes);
      if (q > 0) loss(n) -= q * x(n, k);  // a class of probability 0 that nothing asks for costs nothing
      d_x(n, k) = std::exp(x(n, k)) - q;
    }
  }
  loss.store(call.loss);
  d_x.store(call.d_x);
}

void run(const ScaleRows& call) {
  const Tensor x(call.x), scale(call.scale);
  Tensor y(x.shape());
  const auto columns = x.extent(x.shape().rank - 1), rows = scale.extent(0);
  for (std::size_t i = 0; i < y.values().size(); ++i) {
    const double factor = scale(static_cast<std::int64_t>(i) / columns % rows);
    y.values()[i] = factor == 0 ? 0 : x.values()[i] * factor;  // an infinite gradient times zero is zero
  }
  y.store(call.y);
}

void run(const MeanForward& call) {
  const Tensor x(call.x);
  Tensor y(Shape{1});
  for (const double value : x.values()) y(0) += value;
  y(0) /= static_cast<double>(x.extent(0));
  y.store(call.y);
}

void run(const MeanBackward& call) {
  const Tensor dy(call.dy), control(call.control);
  const double upstream = dy.present() ? dy(0) : 1,
               scale = control.present() ? control(Control::loss_scale) : 1;
  Tensor(call.dx.shape, upstream * scale / static_cast<double>(call.dx.shape[0])).store(call.dx);
}

}  // namespace scrawl::reference
