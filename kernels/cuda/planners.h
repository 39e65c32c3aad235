#pragma once
/// The CUDA backend's planners, one a contract; backend.cpp puts them in the table.

#include "kernels/backend.h"
#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

// activation.cu
Plan<ActivationForward> activation_forward(ActivationForward&, const Selection&);
Plan<ActivationBackward> activation_backward(ActivationBackward&, const Selection&);
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
// optimizer.cu
Plan<GradientNorm> gradient_norm(GradientNorm&, const Selection&);
Plan<OptimizerStep> optimizer_step(OptimizerStep&, const Selection&);
Plan<StepEnd> step_end(StepEnd&, const Selection&);

}  // namespace SCRAWL_CUDA
