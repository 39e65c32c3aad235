#pragma once
/// Max and average pooling over windows of an image.
///
/// max:     y[n,c,p,q] = max over the window's pixels inside x; argmax = r S + s of the first maximum in
///          row-major window order. NaN wins and stays NaN (the first NaN); a window of -inf gives -inf.
/// average: y = sum over the window's pixels inside x / their number (padding is not counted).
/// x (N,C,H,W), y (N,C,P,Q), argmax like y, u8 where R S <= 256, else i32; absent for average, and in
/// inference. Output extents as in conv2d.h with dilation 1; padding smaller than the window.
/// backward: dx = 0, then dx[argmax] += dy (max); dy / count spread over the window (average).
/// Valid widths as in conv2d.h: y and dx are zero beyond; for max and average alike, pixels beyond
/// x_widths[n] count as outside of x.
/// argmax may have the backend's own layout. x and y: f32, bf16 or f16, one type. No aliasing.

#include "kernels/view.h"

namespace scrawl {

enum class PoolKind : std::uint8_t { max, average };

struct PoolParams {
  PoolKind kind = PoolKind::max;
  std::int64_t window_h = 2, window_w = 2, stride_h = 2, stride_w = 2, pad_h = 0, pad_w = 0;
};

struct PoolForward {
  PoolParams params;
  View x, y, argmax, x_widths, y_widths;
};

struct PoolBackward {
  PoolParams params;
  View dy, argmax, dx, x_widths, y_widths;
};

Shape pool_output(const PoolParams&, const Shape& x);
DType argmax_type(const PoolParams&);

/// Valid widths through a window along W: out[n] = floor((in[n] + pad_left + pad_right - extent) / stride)
/// + 1 for in[n] > 0, at least 1 and at most the output's width; else 0. widths, out: (N) i32.
/// `extent` is dilation (S - 1) + 1.
struct WindowWidths {
  std::int64_t extent = 1, stride = 1, pad_left = 0, pad_right = 0;
  std::int64_t width = 0;  ///< output's width
  View widths, out;
};

}  // namespace scrawl
