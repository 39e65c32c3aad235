#pragma once
/// The walks over pooling windows that pooling and fused batch norm share, in vectors of 16 channels.
///
/// Forward, a row of windows at a time, hands out each window's maximum; backward, a row of pixels at a time,
/// hands out each pixel's gradient, so that everything is written once, in order. What a pixel is (stored, or
/// normalised on the way) and what becomes of the results is the caller's. A walk is compiled for the windows
/// kR x kS that networks use, strides equal and without padding; kR = kS = 0 is any other window.

#include "kernels/cpu/images.h"
#include "kernels/pool.h"

namespace scrawl::cpu {

struct Range {
  std::int64_t begin, end;
};

/// Windows along one axis.
struct WindowAxis {
  std::int64_t size, stride, padding;

  /// Pixels of window p that lie in [0, extent); empty as begin >= end.
  Range inside(std::int64_t p, std::int64_t extent) const {
    const auto first = p * stride - padding;
    return {std::max<std::int64_t>(first, 0), std::min(first + size, extent)};
  }
  /// Windows in [0, count) that hold a pixel.
  Range over(std::int64_t pixel, std::int64_t count) const {
    const auto at = pixel + padding;
    const auto first = at < size ? 0 : (at - size) / stride + 1;
    return {first, std::min(at / stride + 1, count)};
  }
};

struct WindowGrid {
  WindowAxis rows, columns;

  explicit WindowGrid(const PoolParams& p)
      : rows{p.window_h, p.stride_h, p.pad_h}, columns{p.window_w, p.stride_w, p.pad_w} {}
};

/// The running maximum of a window: ties to the first, the first NaN wins.
struct Maximum {
  f32x16 value;
  i32x16 index;

  [[gnu::always_inline]] void take(f32x16 x, int i) {
    const mask16 better = ~(less_equal(x, value) | is_nan(value));
    value = select(better, x, value);
    index = select(better, broadcast(i), index);
  }
};

/// Calls f.template operator()<Index, kR, kS>() with the type of argmax and the window's fixed extents.
template <class F>
void dispatch_argmax(const PoolParams& p, F&& f) {
  const bool tiles = p.stride_h == p.window_h && p.stride_w == p.window_w && p.pad_h == 0 && p.pad_w == 0;
  if (tiles && p.window_h == 2 && p.window_w == 2) return f.template operator()<std::uint8_t, 2, 2>();
  if (tiles && p.window_h == 2 && p.window_w == 1) return f.template operator()<std::uint8_t, 2, 1>();
  if (argmax_type(p) == DType::u8) return f.template operator()<std::uint8_t, 0, 0>();
  return f.template operator()<std::int32_t, 0, 0>();
}

/// Gives argmax a placement like x's, in which copies exist for its type.
inline void place_argmax(View& argmax, const View& x) {
  if (!argmax.present()) return;
  if (argmax.type == DType::u8)
    place_like(argmax, x);
  else
    make_plain(argmax, Order::channels_last);
}

/// Leaves alone what place_argmax gave.
inline void accept_argmax(View& argmax) {
  if (!argmax.present()) return;
  if (argmax.type == DType::u8)
    make_readable(argmax);
  else
    make_plain(argmax, Order::channels_last);
}

/// Writes the index of window (p, q), and zeros past the channels: a window cut by the border starts beyond
/// 0.
template <class Index>
[[gnu::always_inline]] inline void store_index(const Plane<Index>& argmax, std::int64_t p, std::int64_t q,
                                               i32x16 index) {
  argmax.store(p, q, select(first_lanes(argmax.channels), index, i32x16{}));
}

/// Calls emit(q, Maximum) for windows q of row p in [0, windows). load(h, w) gives a pixel of an image of
/// height x width. A window without a pixel gives 0 at index 0.
template <int kR, int kS, class Load, class Emit>
[[gnu::always_inline]] inline void max_row(const WindowGrid& grid, std::int64_t p, std::int64_t windows,
                                           std::int64_t height, std::int64_t width, Load load, Emit emit) {
  std::int64_t q = 0;
  if constexpr (kR > 0) {
    for (; q < std::min(windows, width / kS); ++q) {
      Maximum best{load(p * kR, q * kS), i32x16{}};
#pragma GCC unroll 4
      for (int i = 1; i < kR * kS; ++i) best.take(load(p * kR + i / kS, q * kS + i % kS), i);
      emit(q, best);
    }
  }
  const auto rows = grid.rows.inside(p, height);
  for (; q < windows; ++q) {
    const auto columns = grid.columns.inside(q, width);
    const auto index = [&](std::int64_t h, std::int64_t w) {
      const auto top = p * grid.rows.stride - grid.rows.padding,
                 left = q * grid.columns.stride - grid.columns.padding;
      return static_cast<int>((h - top) * grid.columns.size + w - left);
    };
    Maximum best{};
    bool first = true;
    for (auto h = rows.begin; h < rows.end; ++h)
      for (auto w = columns.begin; w < columns.end; ++w) {
        if (first)
          best = {load(h, w), broadcast(index(h, w))};
        else
          best.take(load(h, w), index(h, w));
        first = false;
      }
    emit(q, best);
  }
}

/// Calls emit(w, sum) for pixels w of row h in [0, width), with sum over the windows (p, q) that hold it,
/// p < rows_of_windows, q < windows, of gradient(p, q, index of the pixel in the window).
template <int kR, int kS, class Gradient, class Emit>
[[gnu::always_inline]] inline void gradient_row(const WindowGrid& grid, std::int64_t h, std::int64_t width,
                                                std::int64_t rows_of_windows, std::int64_t windows,
                                                Gradient gradient, Emit emit) {
  const auto over_rows = grid.rows.over(h, rows_of_windows);
  std::int64_t w = 0;
  if constexpr (kR > 0) {  // one window at most
    if (over_rows.begin < over_rows.end) {
      const auto p = over_rows.begin;
      const int row = static_cast<int>(h - p * kR) * kS;
      for (std::int64_t q = 0; q < std::min(windows, width / kS); ++q)
#pragma GCC unroll 4
        for (int s = 0; s < kS; ++s) emit(q * kS + s, gradient(p, q, row + s));
      w = std::min(windows, width / kS) * kS;
    }
  }
  for (; w < width; ++w) {
    const auto over_columns = grid.columns.over(w, windows);
    f32x16 total{};
    for (auto p = over_rows.begin; p < over_rows.end; ++p)
      for (auto q = over_columns.begin; q < over_columns.end; ++q) {
        const auto r = h - (p * grid.rows.stride - grid.rows.padding);
        const auto s = w - (q * grid.columns.stride - grid.columns.padding);
        total += gradient(p, q, static_cast<int>(r * grid.columns.size + s));
      }
    emit(w, total);
  }
}

}  // namespace scrawl::cpu
