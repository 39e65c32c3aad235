#include "kernels/norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/activation.h"
#include "kernels/reference/moments.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/pool.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {

namespace {

/// Calls f(n, c, h, w) for every valid pixel.
template <class F>
void each_pixel(const Shape& x, const Tensor& widths, F&& f) {
  for (std::int64_t n = 0; n < x[0]; ++n)
    for (std::int64_t c = 0; c < x[1]; ++c)
      for (std::int64_t h = 0; h < x[2]; ++h)
        for (std::int64_t w = 0; w < valid(widths, n, x[3]); ++w) f(n, c, h, w);
}

/// M: valid pixels a channel.
double pixels_of(const Shape& x, const Tensor& widths) {
  double pixels = 0;
  for (std::int64_t n = 0; n < x[0]; ++n) pixels += static_cast<double>(x[2] * valid(widths, n, x[3]));
  return pixels;
}

}  // namespace

Moments moments(const Tensor& x, const Tensor& widths) {
  const double pixels = std::max(pixels_of(x.shape(), widths), 1.0);
  Tensor mean(Shape{x.extent(1)}), variance(Shape{x.extent(1)});
  each_pixel(x.shape(), widths, [&](auto n, auto c, auto h, auto w) { mean(c) += x(n, c, h, w) / pixels; });
  each_pixel(x.shape(), widths, [&](auto n, auto c, auto h, auto w) {
    const double deviation = x(n, c, h, w) - mean(c);
    variance(c) += deviation * deviation / pixels;
  });
  return {mean, variance};
}

namespace {

/// f((x - mean) / sqrt(variance + epsilon) gamma + beta), zero beyond the widths.
Tensor normalised(const Tensor& x, const Moments& m, const View& gamma_view, const View& beta_view,
                  float epsilon, Activation activation, const Tensor& widths) {
  const Tensor gamma(gamma_view), beta(beta_view);
  Tensor z(x.shape());
  each_pixel(x.shape(), widths, [&](auto n, auto c, auto h, auto w) {
    const double xhat = (x(n, c, h, w) - m.mean(c)) / std::sqrt(m.variance(c) + epsilon);
    z(n, c, h, w) = activate(activation, xhat * gamma(c) + beta(c));
  });
  return z;
}

struct Gradients {
  Tensor dx, dgamma, dbeta;
};

/// g: the gradient of z.
Gradients backward(const Tensor& x, const Tensor& g, const Tensor& gamma, const Moments& m, float epsilon,
                   const Tensor& widths) {
  const double pixels = pixels_of(x.shape(), widths);
  const auto inverse_deviation = [&](auto c) { return 1 / std::sqrt(m.variance(c) + epsilon); };
  const auto xhat = [&](auto n, auto c, auto h, auto w) {
    return (x(n, c, h, w) - m.mean(c)) * inverse_deviation(c);
  };
  Gradients out{Tensor(x.shape()), Tensor(gamma.shape()), Tensor(gamma.shape())};
  each_pixel(x.shape(), widths, [&](auto n, auto c, auto h, auto w) {
    out.dbeta(c) += g(n, c, h, w);
    out.dgamma(c) += g(n, c, h, w) * xhat(n, c, h, w);
  });
  each_pixel(x.shape(), widths, [&](auto n, auto c, auto h, auto w) {
    out.dx(n, c, h, w) = gamma(c) * inverse_deviation(c) *
                         (g(n, c, h, w) - out.dbeta(c) / pixels - xhat(n, c, h, w) * out.dgamma(c) / pixels);
  });
  return out;
}

}  // namespace

void run(const BatchNormForward& call) {
  const Tensor x(call.x), widths(call.widths);
  const Moments m = moments(x, widths);
  normalised(x, m, call.gamma, call.beta, call.epsilon, call.activation, widths).store(call.y);
  m.mean.store(call.mean);
  m.variance.store(call.variance);
}

void run(const BatchNormInference& call) {
  const Moments m{Tensor(call.mean), Tensor(call.variance)};
  normalised(Tensor(call.x), m, call.gamma, call.beta, call.epsilon, call.activation, Tensor(call.widths))
      .store(call.y);
}

void run(const BatchNormBackward& call) {
  const Tensor x(call.x), widths(call.widths);
  const Moments m{Tensor(call.mean), Tensor(call.variance)};
  const Tensor z = normalised(x, m, call.gamma, call.beta, call.epsilon, call.activation, widths);
  Tensor g(call.dy);
  for (std::size_t i = 0; i < g.values().size(); ++i)
    g.values()[i] = activation_gradient(call.activation, z.values()[i], g.values()[i]);
  const auto [dx, dgamma, dbeta] = backward(x, g, Tensor(call.gamma), m, call.epsilon, widths);
  dx.store(call.dx);
  dgamma.store(call.dgamma);
  dbeta.store(call.dbeta);
}

void run(const BatchNormPoolForward& call) {
  const Tensor x(call.x), x_widths(call.x_widths);
  const Moments m = moments(x, x_widths);
  const Tensor z = normalised(x, m, call.gamma, call.beta, call.epsilon, Activation::relu, x_widths);
  const auto [y, argmax] = pool(call.pool, z, x_widths, Tensor(call.y_widths));
  y.store(call.y);
  argmax.store(call.argmax);
  m.mean.store(call.mean);
  m.variance.store(call.variance);
}

void run(const BatchNormPoolApply& call) {
  const Tensor x_widths(call.x_widths);
  const Moments m{Tensor(call.mean), Tensor(call.variance)};
  const Tensor z =
      normalised(Tensor(call.x), m, call.gamma, call.beta, call.epsilon, Activation::relu, x_widths);
  const auto [y, argmax] = pool(call.pool, z, x_widths, Tensor(call.y_widths));
  y.store(call.y);
  argmax.store(call.argmax);
}

void run(const BatchNormPoolBackward& call) {
  const Tensor x(call.x), y(call.y), x_widths(call.x_widths);
  Tensor dz(call.dy);
  for (std::size_t i = 0; i < dz.values().size(); ++i)
    dz.values()[i] = activation_gradient(Activation::relu, y.values()[i], dz.values()[i]);
  const Tensor g = unpool(call.pool, dz, Tensor(call.argmax), x.shape(), x_widths, Tensor(call.y_widths));
  const Moments m{Tensor(call.mean), Tensor(call.variance)};
  const auto [dx, dgamma, dbeta] = backward(x, g, Tensor(call.gamma), m, call.epsilon, x_widths);
  dx.store(call.dx);
  dgamma.store(call.dgamma);
  dbeta.store(call.dbeta);
}

void run(const RunningUpdate& call) {
  const Tensor control(call.control), value(call.value), widths(call.widths);
  if (control(Control::skip) != 0) return;
  double pixels = static_cast<double>(call.count);
  if (widths.present()) {
    const auto images = widths.extent(0);
    const auto width = call.count > 0 ? call.count / (call.height * images) : 0;
    pixels = 0;
    for (std::int64_t n = 0; n < images; ++n)
      pixels += static_cast<double>(call.height * valid(widths, n, width));
  }
  // One pixel has no variance to correct: it is 0.
  const double correction =
      call.moment == RunningUpdate::Moment::variance ? pixels / std::max(pixels - 1, 1.0) : 1;
  Tensor running(call.running);
  for (std::int64_t c = 0; c < running.extent(0); ++c)
    running(c) = (1 - call.momentum) * running(c) + call.momentum * value(c) * correction;
  running.store(call.running);
}

void run(const FoldBatchNorm& call) {
  const Tensor b(call.b), gamma(call.gamma), beta(call.beta), mean(call.mean), variance(call.variance);
  Tensor w(call.w), folded_b(call.folded_b.shape);
  const auto outputs = folded_b.extent(0);
  const auto row = outputs == 0 ? 0 : call.w.shape.count() / outputs;
  for (std::int64_t k = 0; k < outputs; ++k) {
    const double scale = gamma(k) / std::sqrt(variance(k) + call.epsilon);
    for (std::int64_t i = 0; i < row; ++i) w.values()[static_cast<std::size_t>(k * row + i)] *= scale;
    folded_b(k) = beta(k) + ((b.present() ? b(k) : 0) - mean(k)) * scale;
  }
  w.store(call.folded_w);
  folded_b.store(call.folded_b);
}

}  // namespace scrawl::reference
