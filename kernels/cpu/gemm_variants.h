#pragma once
/// Ways to multiply matrices on the CPU; gemm.cpp lists them, fastest first.

#include "kernels/gemm.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

// gemm_tiles.cpp: in pairs of bf16 where the processor is fast at them, and in f32
Plan<Gemm> gemm_pairs(Gemm&, const Selection&);
Plan<Gemm> gemm_tiles(Gemm&, const Selection&);
Plan<DenseForward> dense_forward_pairs(DenseForward&, const Selection&);
Plan<DenseForward> dense_forward_tiles(DenseForward&, const Selection&);
Plan<DenseBackwardData> dense_backward_data_pairs(DenseBackwardData&, const Selection&);
Plan<DenseBackwardData> dense_backward_data_tiles(DenseBackwardData&, const Selection&);
Plan<DenseBackwardWeight> dense_backward_weight_pairs(DenseBackwardWeight&, const Selection&);
Plan<DenseBackwardWeight> dense_backward_weight_tiles(DenseBackwardWeight&, const Selection&);
// gemm_onednn.cpp
Plan<Gemm> gemm_onednn(Gemm&, const Selection&);
Plan<DenseForward> dense_forward_onednn(DenseForward&, const Selection&);
Plan<DenseBackwardData> dense_backward_data_onednn(DenseBackwardData&, const Selection&);
Plan<DenseBackwardWeight> dense_backward_weight_onednn(DenseBackwardWeight&, const Selection&);

}  // namespace scrawl::cpu
