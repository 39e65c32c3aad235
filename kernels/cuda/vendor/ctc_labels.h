#pragma once
/// What cuDNN's CTC is given for the contract's labels and lengths, and what its answers lack.
///
/// cuDNN reads labels end to end, and beyond its memory where a label is longer than its frames; of empty
/// labels it says nothing. A sample whose label is empty or too long for its frames goes to it as one that
/// it can do: all frames, with the first symbol of the label, or class 1. What it answers there is replaced.

#include "kernels/ctc.h"
#include "kernels/cuda/device/target.h"

namespace scrawl {

/// On the GPU: labels end to end, with room for `longest` a sample and at least one; lengths, one a sample.
struct PackedLabels {
  std::int32_t *labels, *label_lengths, *input_lengths;
};

}  // namespace scrawl

namespace SCRAWL_CUDA {

inline constexpr int most_packed_symbols = 255;  ///< of a label; cuDNN's limit

/// The call's labels and lengths as cuDNN reads them. blank 0, two classes or more.
void pack_labels(const CtcLoss&, const PackedLabels&, Stream);

/// Makes the contract's of cuDNN's losses and gradients: of samples without a path (too few frames, or
/// activations of -inf on all of them), without frames, and with an empty label; and of frames beyond a
/// sample's last. x is f32. A NaN that cuDNN gives a sample that has a path stays.
void complete_losses(const CtcLoss&, Stream);

}  // namespace SCRAWL_CUDA
