#include "kernels/reference/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/operations.h"

namespace scrawl::reference {
namespace {

/// Calls f(index in the window, row, column) for the window's pixels inside `height` x `width`.
template <class F>
void each_pixel(const PoolParams& params, std::int64_t p, std::int64_t q, std::int64_t height,
                std::int64_t width, F&& f) {
  for (std::int64_t r = 0; r < params.window_h; ++r)
    for (std::int64_t s = 0; s < params.window_w; ++s) {
      const auto row = p * params.stride_h - params.pad_h + r,
                 column = q * params.stride_w - params.pad_w + s;
      if (row >= 0 && row < height && column >= 0 && column < width) f(r * params.window_w + s, row, column);
    }
}

}  // namespace

Pooled pool(const PoolParams& params, const Tensor& x, const Tensor& x_widths, const Tensor& y_widths) {
  const Shape shape = pool_output(params, x.shape());
  Tensor y(shape), argmax(shape);
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    const auto width = valid(x_widths, n, x.extent(3));
    for (std::int64_t c = 0; c < shape[1]; ++c)
      for (std::int64_t p = 0; p < shape[2]; ++p)
        for (std::int64_t q = 0; q < valid(y_widths, n, shape[3]); ++q) {
          double sum = 0, best = 0;
          std::int64_t pixels = 0, first = 0;
          each_pixel(params, p, q, x.extent(2), width, [&](auto index, auto row, auto column) {
            const double value = x(n, c, row, column);
            sum += value;
            if (pixels++ == 0 || value > best || (std::isnan(value) && !std::isnan(best)))
              best = value, first = index;
          });
          const double average = pixels > 0 ? sum / static_cast<double>(pixels) : 0;
          y(n, c, p, q) = params.kind == PoolKind::max ? best : average;
          argmax(n, c, p, q) = static_cast<double>(first);
        }
  }
  return {y, argmax};
}

Tensor unpool(const PoolParams& params, const Tensor& dy, const Tensor& argmax, const Shape& x,
              const Tensor& x_widths, const Tensor& y_widths) {
  Tensor dx(x);
  const Shape& shape = dy.shape();
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    const auto width = valid(x_widths, n, x[3]);
    for (std::int64_t c = 0; c < shape[1]; ++c)
      for (std::int64_t p = 0; p < shape[2]; ++p)
        for (std::int64_t q = 0; q < valid(y_widths, n, shape[3]); ++q) {
          double pixels = 0;
          each_pixel(params, p, q, x[2], width, [&](auto, auto, auto) { ++pixels; });
          each_pixel(params, p, q, x[2], width, [&](auto index, auto row, auto column) {
            if (params.kind == PoolKind::average)
              dx(n, c, row, column) += dy(n, c, p, q) / pixels;
            else if (static_cast<double>(index) == argmax(n, c, p, q))
              dx(n, c, row, column) += dy(n, c, p, q);
          });
        }
  }
  return dx;
}

void run(const PoolForward& call) {
  const auto [y, argmax] = pool(call.params, Tensor(call.x), Tensor(call.x_widths), Tensor(call.y_widths));
  y.store(call.y);
  argmax.store(call.argmax);
}

void run(const PoolBackward& call) {
  unpool(call.params, Tensor(call.dy), Tensor(call.argmax), call.dx.shape, Tensor(call.x_widths),
         Tensor(call.y_widths))
      .store(call.dx);
}

void run(const WindowWidths& call) {
  Tensor widths(call.widths);
  for (auto& width : widths.values()) {
    if (width <= 0) continue;
    const auto room = static_cast<std::int64_t>(width) + call.pad_left + call.pad_right - call.extent;
    width = static_cast<double>(std::clamp<std::int64_t>(room / call.stride + 1, 1, call.width));
  }
  widths.store(call.out);
}

}  // namespace scrawl::reference
