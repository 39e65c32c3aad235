#pragma once
/// Optimisers over all parameters at once, and the control block that keeps a step on the device.
///
/// GradientNorm: norm = sqrt(sum of all g^2) / loss_scale, in f64 or compensated, in a fixed order.
///   control[loss] = loss, control[gradient_norm] = norm; control[skip] = 1 unless both are finite, else 0;
///   control[gradient_scale] = clip / (norm loss_scale) if clip > 0 and norm > clip, else 1 / loss_scale.
/// Each step reads g' = g gradient_scale + l2 w + l1 sign(w), does nothing if control[skip] != 0, takes its
/// rate from control[learning_rate], and t from control[step] (steps done, so the first has t = 1 after +1).
/// SGD:   m = momentum m + g';  w -= rate (nesterov: g' + momentum m, else m)
/// Adam:  m = b1 m + (1-b1) g';  v = b2 v + (1-b2) g'^2;  w -= rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) +
/// eps) AdamW: Adam without l2 in g', and w -= rate decay w first. StepEnd: control[step] += 1 unless
/// skipped; control[skipped_in_a_row] = 0 or += 1. All tensors f32, w, g and moments of one tensor in one
/// placement. `decay` has a factor per tensor on l1, l2 and weight decay (0 for biases and norms). control:
/// (Control::count) f32. Source: Sutskever et al., 2013; Kingma & Ba, 2015; Loshchilov & Hutter, 2019; forms
/// as in PyTorch.

#include <vector>

#include "kernels/view.h"

namespace scrawl {

struct Control {
  enum Slot : int {
    step,
    learning_rate,
    loss_scale,
    loss,
    gradient_norm,
    gradient_scale,
    skip,
    skipped_in_a_row,
    count
  };
};

struct GradientNorm {
  float clip = 0;  ///< largest global norm; 0 leaves gradients alone
  std::vector<View> g;
  View loss;  ///< (1) f32: the step's loss; absent: it is in the control block already
  View control;
};

enum class OptimizerKind : std::uint8_t { sgd, adam, adamw };

struct OptimizerStep {
  OptimizerKind kind = OptimizerKind::adam;
  float momentum = 0.9f;
  enum class Nesterov : std::uint8_t { no, yes } nesterov = Nesterov::no;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float l1 = 0, l2 = 0, weight_decay = 0;
  std::vector<float> decay;      ///< factor per tensor
  std::vector<View> w, g, m, v;  ///< v is empty for SGD
  View control;
};

struct StepEnd {
  View control;
};

}  // namespace scrawl
