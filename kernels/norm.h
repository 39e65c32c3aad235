#pragma once
/// Batch normalisation of images over N, H, W, with ReLU and max pooling as optional parts of one pass.
///
/// mean[c], variance[c] = moments of x over the M valid pixels (biased; two-pass or shifted sums: a mean
///   of 1e4 with variance 1 must come out right; a library's sums may be plain)
/// inverse_deviation[c] = 1 / sqrt(variance + epsilon)
/// z = (x - mean) inverse_deviation gamma + beta;  y = z, or max(z, 0)
/// backward: g = dy (where relu: only where z > 0);  dbeta = sum g;  dgamma = sum g xhat;
///   dx = gamma inverse_deviation (g - dbeta / M - xhat dgamma / M),  xhat = (x - mean) inverse_deviation
/// x, y (N,C,H,W) f32, bf16 or f16; everything per channel (C) f32; sums in f32 or wider.
/// Valid widths (N) i32, clamped to 0..W as in conv2d.h: pixels beyond take no part in the moments, y and dx
/// are zero there. M = 0 or 1 gives variance 0. y may alias x in inference only; dx may alias dy.
/// Source: Ioffe & Szegedy, 2015; running statistics as in PyTorch.

#include "kernels/activation.h"
#include "kernels/pool.h"
#include "kernels/view.h"

namespace scrawl {

/// Training: writes mean, variance (biased) and y.
struct BatchNormForward {
  float epsilon = 1e-5f;
  Activation activation = Activation::none;  ///< none or relu
  View x, gamma, beta, y, mean, variance, widths;
};

/// Inference: mean and variance are the running ones.
struct BatchNormInference {
  float epsilon = 1e-5f;
  Activation activation = Activation::none;
  View x, gamma, beta, mean, variance, y, widths;
};

struct BatchNormBackward {
  float epsilon = 1e-5f;
  Activation activation = Activation::none;
  View x, dy, gamma, beta, mean, variance, dx, dgamma, dbeta, widths;
};

/// Batch norm, then ReLU, then max pooling (pool.h), in one pass over x. argmax as in pool.h.
struct BatchNormPoolForward {
  float epsilon = 1e-5f;
  PoolParams pool;
  View x, gamma, beta, y, argmax, mean, variance, x_widths, y_widths;
};

/// What BatchNormPoolForward does once mean and variance are known, which are read here.
struct BatchNormPoolApply {
  float epsilon = 1e-5f;
  PoolParams pool;
  View x, gamma, beta, mean, variance, y, argmax, x_widths, y_widths;
};

struct BatchNormPoolBackward {
  float epsilon = 1e-5f;
  PoolParams pool;
  View x, y, dy, argmax, gamma, mean, variance, dx, dgamma, dbeta, x_widths, y_widths;
};

/// running = (1 - momentum) running + momentum value correction, unless control[skip] is set (optimizer.h);
/// correction = M / (M - 1) for the variance, 1 for the mean. M is `count` = N H W, or, where widths are
/// given, `height` = H times the sum of widths, each clamped to 0..W. running, value: (C) f32.
struct RunningUpdate {
  float momentum = 0.1f;
  enum class Moment : std::uint8_t { mean, variance } moment = Moment::mean;
  std::int64_t count = 0, height = 0;
  View running, value, widths, control;
};

/// Batch norm folded into the convolution before it, for inference:
/// w'[k] = w[k] s[k], b'[k] = beta[k] + (b[k] - mean[k]) s[k], s = gamma / sqrt(variance + epsilon).
/// w (K,...) and folded_w f32 row-major; b may be absent.
struct FoldBatchNorm {
  float epsilon = 1e-5f;
  View w, b, gamma, beta, mean, variance, folded_w, folded_b;
};

}  // namespace scrawl
