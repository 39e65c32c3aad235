#pragma once
/// Ways to multiply matrices on the CPU; gemm.cpp lists them, fastest first.

#include "kernels/gemm.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

// gemm_onednn.cpp
Plan<Gemm> gemm_onednn(Gemm&, const Selection&);
Plan<DenseForward> dense_forward_onednn(DenseForward&, const Selection&);
Plan<DenseBackwardData> dense_backward_data_onednn(DenseBackwardData&, const Selection&);
Plan<DenseBackwardWeight> dense_backward_weight_onednn(DenseBackwardWeight&, const Selection&);

}  // namespace scrawl::cpu
