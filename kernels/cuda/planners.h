#pragma once
/// The CUDA backend's planners, one a contract; backend.cpp puts them in the table.

#include "kernels/backend.h"
#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

// activation.cu
Plan<ActivationForward> activation_forward(ActivationForward&, const Selection&);
Plan<ActivationBackward> activation_backward(ActivationBackward&, const Selection&);
// conv2d.cu, conv2d_weight.cu
Plan<Conv2dForward> conv2d_forward(Conv2dForward&, const Selection&);
Plan<Conv2dPoolForward> conv2d_pool_forward(Conv2dPoolForward&, const Selection&);
Plan<Conv2dMomentsForward> conv2d_moments_forward(Conv2dMomentsForward&, const Selection&);
Plan<Conv2dBackwardData> conv2d_backward_data(Conv2dBackwardData&, const Selection&);
Plan<Conv2dBackwardWeight> conv2d_backward_weight(Conv2dBackwardWeight&, const Selection&);
// gemm.cu
Plan<Gemm> gemm(Gemm&, const Selection&);
Plan<DenseForward> dense_forward(DenseForward&, const Selection&);
Plan<DenseBackwardData> dense_backward_data(DenseBackwardData&, const Selection&);
Plan<DenseBackwardWeight> dense_backward_weight(DenseBackwardWeight&, const Selection&);
// lstm.cu
Plan<LstmForward> lstm_forward(LstmForward&, const Selection&);
Plan<LstmBackward> lstm_backward(LstmBackward&, const Selection&);
// softmax.cu
Plan<SoftmaxForward> softmax_forward(SoftmaxForward&, const Selection&);
Plan<SoftmaxBackward> softmax_backward(SoftmaxBackward&, const Selection&);
// cross_entropy.cu
Plan<CrossEntropy> cross_entropy(CrossEntropy&, const Selection&);
// loss.cu
Plan<ScaleRows> scale_rows(ScaleRows&, const Selection&);
Plan<MeanForward> mean_forward(MeanForward&, const Selection&);
Plan<MeanBackward> mean_backward(MeanBackward&, const Selection&);
// ctc.cu
Plan<CtcLoss> ctc_loss(CtcLoss&, const Selection&);
// copy.cu
Plan<Copy> copy(Copy&, const Selection&);
Plan<ImageToSequence> image_to_sequence(ImageToSequence&, const Selection&);
Plan<SequenceToImage> sequence_to_image(SequenceToImage&, const Selection&);
Plan<Flatten> flatten(Flatten&, const Selection&);
Plan<Unflatten> unflatten(Unflatten&, const Selection&);
// elementwise.cu
Plan<Add> add(Add&, const Selection&);
Plan<Dropout> dropout(Dropout&, const Selection&);
// norm.cu
Plan<BatchNormForward> batch_norm_forward(BatchNormForward&, const Selection&);
Plan<BatchNormInference> batch_norm_inference(BatchNormInference&, const Selection&);
Plan<BatchNormBackward> batch_norm_backward(BatchNormBackward&, const Selection&);
Plan<RunningUpdate> running_update(RunningUpdate&, const Selection&);
Plan<FoldBatchNorm> fold_batch_norm(FoldBatchNorm&, const Selection&);
// norm_pool.cu
Plan<BatchNormPoolForward> batch_norm_pool_forward(BatchNormPoolForward&, const Selection&);
Plan<BatchNormPoolApply> batch_norm_pool_apply(BatchNormPoolApply&, const Selection&);
Plan<BatchNormPoolBackward> batch_norm_pool_backward(BatchNormPoolBackward&, const Selection&);
// pool.cu
Plan<PoolForward> pool_forward(PoolForward&, const Selection&);
Plan<PoolBackward> pool_backward(PoolBackward&, const Selection&);
Plan<WindowWidths> window_widths(WindowWidths&, const Selection&);
// optimizer.cu
Plan<GradientNorm> gradient_norm(GradientNorm&, const Selection&);
Plan<OptimizerStep> optimizer_step(OptimizerStep&, const Selection&);
Plan<StepEnd> step_end(StepEnd&, const Selection&);

}  // namespace SCRAWL_CUDA
