#pragma once
/// Connectionist temporal classification: loss and gradient by the forward-backward algorithm.
///
/// loss[n] = -log sum over paths pi that collapse to labels[n] of prod_t p[t,n,pi_t]
/// With x the logits: p = softmax(x), d_x[t,n,k] = p[t,n,k] - occupancy[t,n,k], so each frame sums to 0.
/// With x log-probabilities: d_x = -occupancy.
/// x (T,N,K) f32, bf16 or f16; labels (N,L) i32, padded with anything; label_lengths, input_lengths (N)
/// i32; loss (N) f32; d_x (T,N,K) f32 or absent, zero at t >= input_lengths[n]. All state is f32 in a form
/// that cannot underflow (log domain, or mantissa and exponent).
/// A sample is feasible iff input_length >= label_length + adjacent repeats and its label's probability is
/// not 0 (activations of -inf). Otherwise loss is +inf and d_x is zero, or both are zero with
/// Infeasible::zero. input_length 0 with an empty label has loss 0. NaN in one sample never reaches another.
/// Labels outside [0,K) or equal to blank are checked on the host with check_ctc_labels before a batch is
/// launched. Source: Graves et al., 2006.

#include <span>

#include "kernels/view.h"

namespace scrawl {

enum class CtcInput : std::uint8_t { logits, log_probabilities };
enum class Infeasible : std::uint8_t { infinite, zero };

struct CtcLoss {
  std::int32_t blank = 0;
  CtcInput input = CtcInput::logits;
  Infeasible infeasible = Infeasible::infinite;
  View x, labels, label_lengths, input_lengths, loss, d_x;
};

/// Throws DataError naming sample, position and value: labels outside [0, classes) or equal to blank,
/// lengths below 0 or above L (labels) or T (inputs). labels is (N,L).
void check_ctc_labels(std::span<const std::int32_t> labels, std::span<const std::int32_t> label_lengths,
                      std::span<const std::int32_t> input_lengths, std::int64_t classes, std::int64_t steps,
                      std::int32_t blank);

/// label length + adjacent repeats: the least number of steps in which a label can be read.
std::int64_t ctc_least_steps(std::span<const std::int32_t> label);

}  // namespace scrawl
