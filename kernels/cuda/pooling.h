#pragma once
/// The walks over pooling windows that pooling and fused batch norm share: a lane has a vector of channels of
/// a window, or, backward, of a pixel. What a pixel is (stored, or normalised on the way) and what becomes of
/// its gradient is the caller's.

#include <cmath>

#include "kernels/cuda/images.h"
#include "kernels/pool.h"

namespace SCRAWL_CUDA {

/// Pixels of a window that lie in the image: from (top, left), which has number `index` in the window.
struct Inside {
  int top, left, rows, columns, index;

  SCRAWL_DEVICE int pixels() const { return rows > 0 && columns > 0 ? rows * columns : 0; }
};

struct Windows {
  int height, width;  ///< of a window
  int stride_h, stride_w, pad_h, pad_w;
  int x_height, y_height;
  Widths x_widths, y_widths;
  Divisor by_stride_h, by_stride_w;

  Windows(const PoolParams& p, const Shape& x, const Shape& y, const View& widths_of_x,
          const View& widths_of_y)
      : height(static_cast<int>(p.window_h)),
        width(static_cast<int>(p.window_w)),
        stride_h(static_cast<int>(p.stride_h)),
        stride_w(static_cast<int>(p.stride_w)),
        pad_h(static_cast<int>(p.pad_h)),
        pad_w(static_cast<int>(p.pad_w)),
        x_height(static_cast<int>(x[2])),
        y_height(static_cast<int>(y[2])),
        x_widths(widths_of_x, x[3]),
        y_widths(widths_of_y, y[3]),
        by_stride_h(p.stride_h),
        by_stride_w(p.stride_w) {}

  /// Of window (p, q), in an image of that width.
  SCRAWL_DEVICE Inside inside(int p, int q, int x_width) const {
    const int top = p * stride_h - pad_h, left = q * stride_w - pad_w;
    const int above = top < 0 ? -top : 0, before = left < 0 ? -left : 0;
    const int below = top + height < x_height ? height : x_height - top;
    const int behind = left + width < x_width ? width : x_width - left;
    return {top + above, left + before, below - above, behind - before, above * width + before};
  }
};

/// Calls use(index, column, offset, load(offset)) for the pixels inside of a window, in order; four are
/// loaded before the first is used. `offset` counts elements from the image's first.
template <class Load, class Use>
SCRAWL_DEVICE void each_pixel_inside(const Inside& in, const Windows& of, int channels, Load load, Use use) {
  constexpr int in_flight = 4;
  std::int64_t offset = (std::int64_t{in.top} * of.x_widths.all + in.left) * channels;
  const std::int64_t to_next_row = std::int64_t{of.x_widths.all - in.columns} * channels;
  int index = in.index, column = in.left;
  for (int pixels = in.pixels(); pixels > 0; pixels -= in_flight) {
    decltype(load(offset)) loaded[in_flight] = {};
    std::int64_t offsets[in_flight] = {};
    int indices[in_flight] = {}, columns[in_flight] = {};
#pragma unroll
    for (int k = 0; k < in_flight; ++k) {
      if (k >= pixels) continue;
      offsets[k] = offset, indices[k] = index, columns[k] = column;
      loaded[k] = load(offset);
      offset += channels;
      ++index;
      if (++column < in.left + in.columns) continue;
      column = in.left;
      offset += to_next_row;
      index += of.width - in.columns;
    }
#pragma unroll
    for (int k = 0; k < in_flight; ++k)
      if (k < pixels) use(indices[k], columns[k], offsets[k], loaded[k]);
  }
}

/// argmax of a vector of channels, u8 or i32. Absent for average, and in inference.
struct Indices {
  void* data;
  DType type;

  explicit Indices(const View& argmax) : data(argmax.data), type(argmax.type) {}

  template <int N>
  SCRAWL_DEVICE void store(std::int64_t at, const int (&indices)[N]) const {
    if (!data) return;
    if (type == DType::u8) {
      struct Elements {
        std::uint8_t values[N];
      } elements;
#pragma unroll
      for (int j = 0; j < N; ++j) elements.values[j] = static_cast<std::uint8_t>(indices[j]);
      store_stored(static_cast<std::uint8_t*>(data) + at, std::bit_cast<Stored<std::uint8_t, N>>(elements));
      return;
    }
    constexpr int vector = N < 4 ? N : 4;
#pragma unroll
    for (int first = 0; first < N; first += vector) {
      Stored<std::int32_t, vector> part;
#pragma unroll
      for (int j = 0; j < vector; ++j) part.values[j] = static_cast<std::uint32_t>(indices[first + j]);
      store_stored(static_cast<std::int32_t*>(data) + at + first, part);
    }
  }

  template <int N>
  SCRAWL_DEVICE void load(std::int64_t at, int (&indices)[N]) const {
    if (type == DType::u8) {
      struct Elements {
        std::uint8_t values[N];
      };
      const auto elements =
          std::bit_cast<Elements>(load_stored<N>(static_cast<const std::uint8_t*>(data) + at));
#pragma unroll
      for (int j = 0; j < N; ++j) indices[j] = elements.values[j];
      return;
    }
    constexpr int vector = N < 4 ? N : 4;
#pragma unroll
    for (int first = 0; first < N; first += vector) {
      const auto part = load_stored<vector>(static_cast<const std::int32_t*>(data) + at + first);
#pragma unroll
      for (int j = 0; j < vector; ++j) indices[first + j] = static_cast<int>(part.values[j]);
    }
  }
};

/// y and argmax of f(j, x) over the windows of a lane: `own` are pixels of y. Ties go to the first pixel, and
/// so do windows of -inf; NaN wins. Windows without a pixel give 0.
template <class T, int kVector, class F>
SCRAWL_DEVICE void pool_maxima(const OwnPixels& own, const Windows& windows, const T* x, T* y,
                               const Indices& argmax, F f) {
  const int channels = own.blocks.channels;
  const auto image = std::int64_t{windows.x_height} * windows.x_widths.all * channels;
  const Raster raster(own);
  for (int i = own.row; i < own.count; i += own.blocks.rows) {
    const auto [n, p, q] = raster[i];
    const T* const from = x + n * image + own.channel;
    auto in = windows.inside(p, q, windows.x_widths[n]);
    if (q >= windows.y_widths[n]) in.rows = 0;
    const bool is_empty = in.pixels() == 0;
    Floats<kVector> best;
    int indices[kVector];
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      best[j] = is_empty ? 0 : -INFINITY;
      indices[j] = is_empty ? 0 : in.index;
    }
    each_pixel_inside(
        in, windows, channels, [&](std::int64_t at) { return load_stored<kVector>(from + at); },
        [&](int index, int, std::int64_t, const Stored<T, kVector>& loaded) {
          const auto values = to_floats(loaded);
#pragma unroll
          for (int j = 0; j < kVector; ++j) {
            const float value = f(j, values[j]);
            if (value <= best[j] || best[j] != best[j]) continue;
            best[j] = value;
            indices[j] = index;
          }
        });
    store_floats(y + own.offset(i), best);
    argmax.store(own.offset(i), indices);
  }
}

// ----------------------------------------------------------------------------------------------- backward

/// The gradients of windows, by their pixels' numbers.
template <class T, int kVector>
struct WindowGradients {
  PoolKind kind;
  const T* dy;
  const T* y;  ///< where this is 0, ReLU stopped the gradient; null where there was none
  Indices argmax;

  struct Window {
    Floats<kVector> dy{};
    int indices[kVector] = {};
    float share = 0;  ///< of a pixel; average
  };

  SCRAWL_DEVICE Window load(std::int64_t at, int pixels) const {
    Window window;
    const auto loaded = load_stored<kVector>(dy + at);
    if (y) {
      const auto maxima = load_stored<kVector>(y + at);
      argmax.load(at, window.indices);
      window.dy = to_floats(loaded);
      const auto values = to_floats(maxima);
#pragma unroll
      for (int j = 0; j < kVector; ++j)
        if (values[j] <= 0) window.dy[j] = 0;
    } else {
      if (kind == PoolKind::max) argmax.load(at, window.indices);
      window.dy = to_floats(loaded);
    }
    window.share = pixels > 0 ? 1 / static_cast<float>(pixels) : 0;
    return window;
  }
  SCRAWL_DEVICE float of(const Window& window, int j, int index) const {
    if (kind == PoolKind::average) return window.dy[j] * window.share;
    return window.indices[j] == index ? window.dy[j] : 0;
  }
};

/// Calls emit.store(offset, emit.load(offset), gradient, is_valid) for every pixel of x, where windows do not
/// overlap and leave none out: `own` are cells, the windows and what is left of the image behind the last of
/// them.
template <class T, int kVector, class Emit>
SCRAWL_DEVICE void unpool_cells(const OwnPixels& own, const Windows& windows,
                                const WindowGradients<T, kVector>& gradients, const Emit& emit) {
  const int channels = own.blocks.channels, x_width = windows.x_widths.all;
  const auto image = std::int64_t{windows.x_height} * x_width * channels;
  const Raster raster(own);
  for (int i = own.row; i < own.count; i += own.blocks.rows) {
    const auto [n, p, q] = raster[i];
    const int valid_width = windows.x_widths[n];
    typename WindowGradients<T, kVector>::Window window;
    if (p < windows.y_height && q < windows.y_widths[n]) {
      const auto at = ((n * windows.y_height + p) * windows.y_widths.all + q) * channels + own.channel;
      window = gradients.load(at, windows.inside(p, q, valid_width).pixels());
    }
    const auto first = n * image + own.channel;
    each_pixel_inside(
        windows.inside(p, q, x_width), windows, channels,
        [&](std::int64_t at) { return emit.load(first + at); },
        [&](int index, int column, std::int64_t at, const typename Emit::Read& read) {
          const bool is_valid = column < valid_width;
          Floats<kVector> gradient{};
          if (is_valid) {
#pragma unroll
            for (int j = 0; j < kVector; ++j) gradient[j] = gradients.of(window, j, index);
          }
          emit.store(first + at, read, gradient, is_valid);
        });
  }
}

/// The same for any windows: `own` are pixels of x, each of which sums what the windows over it say, in
/// order.
template <class T, int kVector, class Emit>
SCRAWL_DEVICE void unpool_pixels(const OwnPixels& own, const Windows& windows,
                                 const WindowGradients<T, kVector>& gradients, const Emit& emit) {
  const Raster raster(own);
  for (int i = own.row; i < own.count; i += own.blocks.rows) {
    const auto [n, h, w] = raster[i];
    const auto read = emit.load(own.offset(i));
    const int x_width = windows.x_widths[n], y_width = windows.y_widths[n];
    const bool is_valid = w < x_width;
    Floats<kVector> sum{};
    const int from_top = h + windows.pad_h, from_left = w + windows.pad_w;
    const auto first_over = [](int at, int extent, const Divisor& stride) {
      return at < extent ? 0 : stride.quotient(at - extent) + 1;
    };
    const int first_q = first_over(from_left, windows.width, windows.by_stride_w);
    const int last_p = windows.by_stride_h.quotient(from_top),
              last_q = windows.by_stride_w.quotient(from_left);
    if (is_valid)
      for (int p = first_over(from_top, windows.height, windows.by_stride_h);
           p <= last_p && p < windows.y_height; ++p)
        for (int q = first_q; q <= last_q && q < y_width; ++q) {
          const auto at = ((n * windows.y_height + p) * windows.y_widths.all + q) * own.blocks.channels;
          const auto window = gradients.load(at + own.channel, windows.inside(p, q, x_width).pixels());
          const int index =
              (from_top - p * windows.stride_h) * windows.width + from_left - q * windows.stride_w;
#pragma unroll
          for (int j = 0; j < kVector; ++j) sum[j] += gradients.of(window, j, index);
        }
    emit.store(own.offset(i), read, sum, is_valid);
  }
}

/// Whether unpool_cells takes these windows.
inline bool are_cells(const PoolParams& p) {
  return p.stride_h == p.window_h && p.stride_w == p.window_w && p.pad_h == 0 && p.pad_w == 0;
}

/// The cells, as pixels of an image.
inline Shape cells_of(const PoolParams& p, const Shape& x) {
  return {x[0], x[1], (x[2] + p.window_h - 1) / p.window_h, (x[3] + p.window_w - 1) / p.window_w};
}

}  // namespace SCRAWL_CUDA
