#pragma once
/// Classification loss with its gradient, and what joins per-sample losses to a step.
///
/// CrossEntropy: p = softmax(x + a);  q = (1 - smoothing) onehot(target) + smoothing / K
///   loss[n] = -sum_k q[k] log p[n,k];  d_x[n,k] = p[n,k] - q[k]
/// x (N,K) f32, bf16 or f16; a (K) f32 or absent: log priors, for a loss corrected for unbalanced classes
/// (Menon et al., 2021); targets (N) i32; a negative target is ignored: loss 0, gradient 0. Targets are
/// checked on the host. loss (N) f32, d_x (N,K) f32 or absent. One pass over each row.
///
/// ScaleRows: y[..., r, :] = x[..., r, :] scale[r]: a saved loss gradient times its upstream gradient.
///   x (N,K) or (T,N,K) f32, scale (N) f32, y like x, any float type. A zero scale gives zeros, whatever x.
/// Mean: y = sum x / count (x (N) f32, y (1) f32); backward dx[n] = dy scale / count, where scale is the
///   loss scale control[loss_scale] (optimizer.h) if control is present, else 1; an absent dy is 1.

#include "kernels/view.h"

namespace scrawl {

struct CrossEntropy {
  float label_smoothing = 0;
  View x, adjustment, targets, loss, d_x;
};

struct ScaleRows {
  View x, scale, y;
};

struct MeanForward {
  View x, y;
};

struct MeanBackward {
  View dy, control, dx;
};

}  // namespace scrawl
