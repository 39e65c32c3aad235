#include "kernels/conv2d.h"

#include "kernels/reference/activation.h"
#include "kernels/reference/moments.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/pool.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

/// Calls f(n, k, p, q, channel of x, row of x, column of x, channel of w, r, s) for every product that the
/// convolution of x and w sums into y.
template <class F>
void each_product(const Conv2dParams& params, const Shape& x, const Shape& w, const Shape& y, F&& f) {
  const auto group_inputs = w[1], group_outputs = w[0] / params.groups;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t k = 0; k < y[1]; ++k)
      for (std::int64_t p = 0; p < y[2]; ++p)
        for (std::int64_t q = 0; q < y[3]; ++q)
          for (std::int64_t c = 0; c < group_inputs; ++c)
            for (std::int64_t r = 0; r < w[2]; ++r)
              for (std::int64_t s = 0; s < w[3]; ++s) {
                const auto row = p * params.stride_h - params.pad_top + r * params.dilation_h;
                const auto column = q * params.stride_w - params.pad_left + s * params.dilation_w;
                if (row >= 0 && row < x[2] && column >= 0 && column < x[3])
                  f(n, k, p, q, k / group_outputs * group_inputs + c, row, column, c, r, s);
              }
}

void clear_beyond(Tensor& image, const Tensor& widths) {
  for (std::int64_t n = 0; n < image.extent(0); ++n)
    for (std::int64_t c = 0; c < image.extent(1); ++c)
      for (std::int64_t h = 0; h < image.extent(2); ++h)
        for (auto w = valid(widths, n, image.extent(3)); w < image.extent(3); ++w) image(n, c, h, w) = 0;
}

void activate_all(Activation kind, Tensor& x) {
  for (auto& value : x.values()) value = activate(kind, value);
}

/// x * w + b.
Tensor convolve(const Conv2dParams& params, const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y(conv2d_output(params, x.shape(), w.shape()));
  each_product(params, x.shape(), w.shape(), y.shape(),
               [&](auto n, auto k, auto p, auto q, auto channel, auto row, auto column, auto c, auto r,
                   auto s) { y(n, k, p, q) += x(n, channel, row, column) * w(k, c, r, s); });
  if (!b.present()) return y;
  for (std::int64_t n = 0; n < y.extent(0); ++n)
    for (std::int64_t k = 0; k < y.extent(1); ++k)
      for (std::int64_t p = 0; p < y.extent(2); ++p)
        for (std::int64_t q = 0; q < y.extent(3); ++q) y(n, k, p, q) += b(k);
  return y;
}

}  // namespace

void run(const Conv2dForward& call) {
  Tensor y = convolve(call.params, Tensor(call.x), Tensor(call.w), Tensor(call.b));
  activate_all(call.activation, y);
  clear_beyond(y, Tensor(call.y_widths));
  y.store(call.y);
}

void run(const Conv2dPoolForward& call) {
  const auto z = convolve(call.params, Tensor(call.x), Tensor(call.w), Tensor(call.b));
  auto [y, argmax] = pool(call.pool, z, Tensor(call.convolved_widths), Tensor(call.y_widths));
  activate_all(Activation::relu, y);
  y.store(call.y);
  argmax.store(call.argmax);
}

void run(const Conv2dMomentsForward& call) {
  const Tensor widths(call.y_widths);
  Tensor y = convolve(call.params, Tensor(call.x), Tensor(call.w), Tensor(call.b));
  clear_beyond(y, widths);
  y.store(call.y);
  const Moments m = moments(Tensor(call.y), widths);  // of what is stored
  m.mean.store(call.mean);
  m.variance.store(call.variance);
}

void run(const Conv2dBackwardData& call) {
  const Tensor dy(call.dy), w(call.w), x_widths(call.x_widths);
  Tensor dx(call.dx.shape);
  each_product(call.params, dx.shape(), w.shape(), dy.shape(),
               [&](auto n, auto k, auto p, auto q, auto channel, auto row, auto column, auto c, auto r,
                   auto s) { dx(n, channel, row, column) += dy(n, k, p, q) * w(k, c, r, s); });
  clear_beyond(dx, x_widths);
  dx.store(call.dx);
}

void run(const Conv2dBackwardWeight& call) {
  const Tensor x(call.x), dy(call.dy);
  Tensor dw(call.dw.shape), db(Shape{call.dw.shape[0]});
  each_product(call.params, x.shape(), dw.shape(), dy.shape(),
               [&](auto n, auto k, auto p, auto q, auto channel, auto row, auto column, auto c, auto r,
                   auto s) { dw(k, c, r, s) += dy(n, k, p, q) * x(n, channel, row, column); });
  for (std::int64_t n = 0; n < dy.extent(0); ++n)
    for (std::int64_t k = 0; k < dy.extent(1); ++k)
      for (std::int64_t p = 0; p < dy.extent(2); ++p)
        for (std::int64_t q = 0; q < dy.extent(3); ++q) db(k) += dy(n, k, p, q);
  dw.store(call.dw);
  db.store(call.db);
}

}  // namespace scrawl::reference
