/// Convolution by plain loops over NHWC images and K R S C weights, for what nothing faster takes.

#include <cmath>

#include "kernels/cpu/conv2d_variants.h"
#include "kernels/cpu/widened.h"
#include "kernels/cpu/widths.h"

namespace scrawl::cpu {

namespace {

/// Extents, and the image and weight rows of C/G contiguous channels that one tap of the window meets.
struct Loops {
  Conv2dParams p;
  std::int64_t images, height, width, out_height, out_width, outputs, taps_h, taps_w;
  std::int64_t channels, group_channels, group_outputs;

  Loops(const Conv2dParams& params, const View& x, const View& w, const View& y)
      : p(params),
        images(x.shape[0]),
        height(x.shape[2]),
        width(x.shape[3]),
        out_height(y.shape[2]),
        out_width(y.shape[3]),
        outputs(w.shape[0]),
        taps_h(w.shape[2]),
        taps_w(w.shape[3]),
        channels(x.shape[1]),
        group_channels(w.shape[1]),
        group_outputs(w.shape[0] / params.groups) {}

  /// First channel of output k's group at pixel (h, w).
  std::int64_t pixel(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t k) const {
    return ((n * height + h) * width + w) * channels + k / group_outputs * group_channels;
  }
  std::int64_t tap(std::int64_t k, std::int64_t r, std::int64_t s) const {
    return ((k * taps_h + r) * taps_w + s) * group_channels;
  }
  std::int64_t output(std::int64_t n, std::int64_t out_h, std::int64_t out_w, std::int64_t k) const {
    return ((n * out_height + out_h) * out_width + out_w) * outputs + k;
  }

  /// Calls f(r, s, h, w) for every tap of the window of output (out_h, out_w) that meets the image.
  template <class F>
  void each_tap(std::int64_t out_h, std::int64_t out_w, F&& f) const {
    for (std::int64_t r = 0; r < taps_h; ++r) {
      const auto h = out_h * p.stride_h - p.pad_top + r * p.dilation_h;
      if (h < 0 || h >= height) continue;
      for (std::int64_t s = 0; s < taps_w; ++s) {
        const auto w = out_w * p.stride_w - p.pad_left + s * p.dilation_w;
        if (w >= 0 && w < width) f(r, s, h, w);
      }
    }
  }

  /// Calls f(out_h, out_w) for every output of an image.
  template <class F>
  void each_output(F&& f) const {
    for (std::int64_t out_h = 0; out_h < out_height; ++out_h)
      for (std::int64_t out_w = 0; out_w < out_width; ++out_w) f(out_h, out_w);
  }
};

float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(float* to, float scale, const float* from, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] += scale * from[i];
}

float activate(Activation kind, float x) {
  switch (kind) {
    case Activation::relu:
      return x < 0 ? 0 : x;  // NaN stays
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::none:
      break;
  }
  return x;
}

Plan<Conv2dForward> plan_forward(Conv2dForward& call, const Selection& selection) {
  for (View* view : {&call.x, &call.w, &call.y}) make_plain(*view, Order::channels_last);
  return {.run = [threads = selection.threads](const Conv2dForward& c, Bytes, Stream) {
    const Loops loops(c.params, c.x, c.w, c.y);
    const auto *x = c.x.as<const float>(), *w = c.w.as<const float>();
    parallel_for(threads, loops.images, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto n = begin; n < end; ++n)
        loops.each_output([&](std::int64_t p, std::int64_t q) {
          for (std::int64_t k = 0; k < loops.outputs; ++k) {
            float sum = c.b.present() ? c.b.as<const float>()[k] : 0;
            loops.each_tap(p, q, [&](std::int64_t r, std::int64_t s, std::int64_t h, std::int64_t column) {
              sum += dot(x + loops.pixel(n, h, column, k), w + loops.tap(k, r, s), loops.group_channels);
            });
            c.y.as<float>()[loops.output(n, p, q, k)] = activate(c.activation, sum);
          }
        });
    });
    zero_beyond(c.y, c.y_widths, threads);
  }};
}

Plan<Conv2dBackwardData> plan_backward_data(Conv2dBackwardData& call, const Selection& selection) {
  for (View* view : {&call.dx, &call.w, &call.dy}) make_plain(*view, Order::channels_last);
  return {.run = [threads = selection.threads](const Conv2dBackwardData& c, Bytes, Stream) {
    const Loops loops(c.params, c.dx, c.w, c.dy);
    auto* dx = c.dx.as<float>();
    parallel_for(threads, loops.images, 1, [&](std::int64_t begin, std::int64_t end) {
      std::fill(dx + loops.pixel(begin, 0, 0, 0), dx + loops.pixel(end, 0, 0, 0), 0.0f);
      for (auto n = begin; n < end; ++n)
        loops.each_output([&](std::int64_t p, std::int64_t q) {
          loops.each_tap(p, q, [&](std::int64_t r, std::int64_t s, std::int64_t h, std::int64_t column) {
            for (std::int64_t k = 0; k < loops.outputs; ++k)
              add_scaled(dx + loops.pixel(n, h, column, k), c.dy.as<const float>()[loops.output(n, p, q, k)],
                         c.w.as<const float>() + loops.tap(k, r, s), loops.group_channels);
          });
        });
    });
    zero_beyond(c.dx, c.x_widths, threads);
  }};
}

Plan<Conv2dBackwardWeight> plan_backward_weight(Conv2dBackwardWeight& call, const Selection& selection) {
  for (View* view : {&call.x, &call.dw, &call.dy}) make_plain(*view, Order::channels_last);
  return {.run = [threads = selection.threads](const Conv2dBackwardWeight& c, Bytes, Stream) {
    const Loops loops(c.params, c.x, c.dw, c.dy);
    auto* dw = c.dw.as<float>();
    parallel_for(threads, loops.outputs, 1, [&](std::int64_t begin, std::int64_t end) {
      std::fill(dw + loops.tap(begin, 0, 0), dw + loops.tap(end, 0, 0), 0.0f);
      for (auto k = begin; k < end; ++k) {
        float db = 0;
        for (std::int64_t n = 0; n < loops.images; ++n)
          loops.each_output([&](std::int64_t p, std::int64_t q) {
            const float dy = c.dy.as<const float>()[loops.output(n, p, q, k)];
            db += dy;
            loops.each_tap(p, q, [&](std::int64_t r, std::int64_t s, std::int64_t h, std::int64_t column) {
              add_scaled(dw + loops.tap(k, r, s), dy, c.x.as<const float>() + loops.pixel(n, h, column, k),
                         loops.group_channels);
            });
          });
        if (c.db.present()) c.db.as<float>()[k] = db;
      }
    });
  }};
}

}  // namespace

Plan<Conv2dForward> conv2d_forward_loops(Conv2dForward& call, const Selection& selection) {
  return plan_widened(call, selection, plan_forward, {&Conv2dForward::x, &Conv2dForward::w},
                      {&Conv2dForward::y});
}

Plan<Conv2dBackwardData> conv2d_backward_data_loops(Conv2dBackwardData& call, const Selection& selection) {
  return plan_widened(call, selection, plan_backward_data, {&Conv2dBackwardData::dy, &Conv2dBackwardData::w},
                      {&Conv2dBackwardData::dx});
}

Plan<Conv2dBackwardWeight> conv2d_backward_weight_loops(Conv2dBackwardWeight& call,
                                                        const Selection& selection) {
  return plan_widened(call, selection, plan_backward_weight,
                      {&Conv2dBackwardWeight::x, &Conv2dBackwardWeight::dy}, {&Conv2dBackwardWeight::dw});
}

}  // namespace scrawl::cpu
