#pragma once
/// Softmax and log-softmax over the last axis.
///
/// softmax:     y[n,k] = exp(x[n,k] - m[n]) / sum_k exp(x[n,k] - m[n]),  m[n] = max_k x[n,k]
/// log-softmax: y[n,k] = x[n,k] - m[n] - log sum_k exp(x[n,k] - m[n])
/// backward, from y:  softmax: dx = y (dy - sum_k dy y);  log-softmax: dx = dy - exp(y) sum_k dy
/// x, y: (..., K) row-major; f32, bf16 or f16; y may alias x, dx may alias dy. Sums in f32. A row of -inf
/// only, or with NaN or +inf, gives NaN. Source: Milakov & Gimelshein, 2018.

#include "kernels/view.h"

namespace scrawl {

enum class SoftmaxKind : std::uint8_t { softmax, log_softmax };

struct SoftmaxForward {
  SoftmaxKind kind = SoftmaxKind::softmax;
  View x, y;
};

struct SoftmaxBackward {
  SoftmaxKind kind = SoftmaxKind::softmax;
  View y, dy, dx;
};

}  // namespace scrawl
