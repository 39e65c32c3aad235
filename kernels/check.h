#pragma once
/// Checks a call's operands against its contract: which are there, their extents and types. Every planner
/// begins with it, so that all backends refuse the same calls with the same words.
///
/// Throws ShapeError: "conv2d_forward: w: expected f32 32x16x3x3, got f32 32x8x3x3".
/// Contracts say f32, bf16 or f16 for storage and f32 for what accompanies it. With Widest::f64, storage may
/// be f64 also, and its companions are then f64: so the reference runs whole networks in double.

#include "kernels/backend.h"

namespace scrawl {

enum class Widest : std::uint8_t { f32, f64 };

void check(const ActivationForward&, Widest = Widest::f32);
void check(const ActivationBackward&, Widest = Widest::f32);
void check(const Conv2dForward&, Widest = Widest::f32);
void check(const Conv2dPoolForward&, Widest = Widest::f32);
void check(const Conv2dMomentsForward&, Widest = Widest::f32);
void check(const Conv2dBackwardData&, Widest = Widest::f32);
void check(const Conv2dBackwardWeight&, Widest = Widest::f32);
void check(const Gemm&, Widest = Widest::f32);
void check(const DenseForward&, Widest = Widest::f32);
void check(const DenseBackwardData&, Widest = Widest::f32);
void check(const DenseBackwardWeight&, Widest = Widest::f32);
void check(const PoolForward&, Widest = Widest::f32);
void check(const PoolBackward&, Widest = Widest::f32);
void check(const WindowWidths&, Widest = Widest::f32);
void check(const BatchNormForward&, Widest = Widest::f32);
void check(const BatchNormInference&, Widest = Widest::f32);
void check(const BatchNormBackward&, Widest = Widest::f32);
void check(const BatchNormPoolForward&, Widest = Widest::f32);
void check(const BatchNormPoolApply&, Widest = Widest::f32);
void check(const BatchNormPoolBackward&, Widest = Widest::f32);
void check(const RunningUpdate&, Widest = Widest::f32);
void check(const FoldBatchNorm&, Widest = Widest::f32);
void check(const LstmForward&, Widest = Widest::f32);
void check(const LstmBackward&, Widest = Widest::f32);
void check(const SoftmaxForward&, Widest = Widest::f32);
void check(const SoftmaxBackward&, Widest = Widest::f32);
void check(const CrossEntropy&, Widest = Widest::f32);
void check(const ScaleRows&, Widest = Widest::f32);
void check(const MeanForward&, Widest = Widest::f32);
void check(const MeanBackward&, Widest = Widest::f32);
void check(const CtcLoss&, Widest = Widest::f32);
void check(const Copy&, Widest = Widest::f32);
void check(const Add&, Widest = Widest::f32);
void check(const Dropout&, Widest = Widest::f32);
void check(const ImageToSequence&, Widest = Widest::f32);
void check(const SequenceToImage&, Widest = Widest::f32);
void check(const Flatten&, Widest = Widest::f32);
void check(const Unflatten&, Widest = Widest::f32);
void check(const GradientNorm&, Widest = Widest::f32);
void check(const OptimizerStep&, Widest = Widest::f32);
void check(const StepEnd&, Widest = Widest::f32);

}  // namespace scrawl
