#pragma once
/// Ways to normalise that norm.cpp and norm_pool.cpp list after their own.

#include "kernels/norm.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

// norm_onednn.cpp: images without valid widths.
Plan<BatchNormForward> batch_norm_forward_onednn(BatchNormForward&, const Selection&);
Plan<BatchNormInference> batch_norm_inference_onednn(BatchNormInference&, const Selection&);
Plan<BatchNormBackward> batch_norm_backward_onednn(BatchNormBackward&, const Selection&);
// Always refuse.
Plan<BatchNormPoolForward> batch_norm_pool_forward_onednn(BatchNormPoolForward&, const Selection&);
Plan<BatchNormPoolBackward> batch_norm_pool_backward_onednn(BatchNormPoolBackward&, const Selection&);

}  // namespace scrawl::cpu
