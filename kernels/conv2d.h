#pragma once
/// Two-dimensional convolution (cross-correlation) with stride, padding, dilation and groups.
///
/// y[n,k,p,q] = f(b[k] + sum_{c,r,s} x[n, g C/G + c, p u - top + r d, q v - left + s e] w[k,c,r,s]),
///   g = k / (K/G), zero outside of x; f is the activation.
/// x (N,C,H,W), w (K,C/G,R,S), b (K) f32 or absent, y (N,K,P,Q),
///   P = floor((H + top + bottom - d (R-1) - 1) / u) + 1, Q likewise.
/// x, w, y: f32, bf16 or f16; sums in f32. dw, db are f32.
/// Valid widths (i32, one a sample, or absent): columns of y at or beyond y_widths[n] are written as zero;
/// operands are zero beyond their own widths, which whoever wrote them has seen to, so no other operand
/// needs them. backward_data does the same for dx with x_widths. Widths are clamped to 0..the width of what
/// they are of, whatever memory holds.
/// No operand aliases another. Throws ShapeError.
/// Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.

#include "kernels/activation.h"
#include "kernels/pool.h"
#include "kernels/view.h"

namespace scrawl {

struct Conv2dParams {
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  ///< 1 is dense
  std::int64_t groups = 1;
};

struct Conv2dForward {
  Conv2dParams params;
  Activation activation = Activation::none;
  KernelPhase phase = KernelPhase::training;
  View x, w, b, y, y_widths;
};

/// y = max(z, 0), where z and argmax are what max pooling (pool.h) makes of the convolution f = none, which
/// is never stored. y (N,K,P',Q'), argmax likewise, absent in inference. Windows are as pools_in_tiles has
/// it. convolved_widths are those of the convolution's result, y_widths those of y; both or none.
struct Conv2dPoolForward {
  Conv2dParams params;
  PoolParams pool;
  KernelPhase phase = KernelPhase::training;
  View x, w, b, y, argmax, convolved_widths, y_widths;
};

/// y as by Conv2dForward without an activation, and the moments that batch norm (norm.h) takes of y as it is
/// stored: mean, variance (K) f32, over the valid pixels.
struct Conv2dMomentsForward {
  Conv2dParams params;
  View x, w, b, y, mean, variance, y_widths;
};

/// dx[n,c,h,w] = sum of dy w over every (k, p, q, r, s) that reads x[n,c,h,w].
struct Conv2dBackwardData {
  Conv2dParams params;
  View dy, w, dx, x_widths;
};

/// dw[k,c,r,s] = sum_{n,p,q} dy[n,k,p,q] x[...]; db[k] = sum_{n,p,q} dy[n,k,p,q]. Both overwritten; db may
/// be absent.
struct Conv2dBackwardWeight {
  Conv2dParams params;
  View x, dy, dw, db;
};

/// (N,K,P,Q). Throws ShapeError, naming the axis, if the window does not fit or channels disagree.
Shape conv2d_output(const Conv2dParams&, const Shape& x, const Shape& w);

/// Pixels of the largest window that a convolution pools with, and a multiple of those of all others.
inline constexpr std::int64_t most_pooled_pixels = 64;

/// Whether windows are Conv2dPoolForward's, so that a tile of a convolution's result holds whole ones:
/// maxima, beside one another (stride as window, no padding), of 1, 2, 4, ... or 64 pixels.
bool pools_in_tiles(const PoolParams&);

}  // namespace scrawl
