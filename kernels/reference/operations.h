#pragma once
/// What each planner of the reference runs; one file a contract.

#include "kernels/backend.h"

namespace scrawl::reference {

void run(const ActivationForward&);
void run(const ActivationBackward&);
void run(const Conv2dForward&);
void run(const Conv2dPoolForward&);
void run(const Conv2dMomentsForward&);
void run(const Conv2dBackwardData&);
void run(const Conv2dBackwardWeight&);
void run(const Gemm&);
void run(const DenseForward&);
void run(const DenseBackwardData&);
void run(const DenseBackwardWeight&);
void run(const PoolForward&);
void run(const PoolBackward&);
void run(const WindowWidths&);
void run(const BatchNormForward&);
void run(const BatchNormInference&);
void run(const BatchNormBackward&);
void run(const BatchNormPoolForward&);
void run(const BatchNormPoolApply&);
void run(const BatchNormPoolBackward&);
void run(const RunningUpdate&);
void run(const FoldBatchNorm&);
void run(const LstmForward&);
void run(const LstmBackward&);
void run(const SoftmaxForward&);
void run(const SoftmaxBackward&);
void run(const CrossEntropy&);
void run(const ScaleRows&);
void run(const MeanForward&);
void run(const MeanBackward&);
void run(const CtcLoss&);
void run(const Copy&);
void run(const Add&);
void run(const Dropout&);
void run(const ImageToSequence&);
void run(const SequenceToImage&);
void run(const Flatten&);
void run(const Unflatten&);
void run(const GradientNorm&);
void run(const OptimizerStep&);
void run(const StepEnd&);

/// Bytes that lstm_forward keeps for lstm_backward: i, f, g, o, c of each direction, step, sample and unit.
std::int64_t lstm_reserve_bytes(const View& x, const View& w_hh);

}  // namespace scrawl::reference
