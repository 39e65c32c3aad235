#pragma once
/// A backend is this table. A null entry is something that the backend cannot do: the graph then takes a
/// fused operator apart, or fails by name when it is built.

#include <string_view>

#include "kernels/activation.h"
#include "kernels/conv2d.h"
#include "kernels/ctc.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/loss.h"
#include "kernels/lstm.h"
#include "kernels/norm.h"
#include "kernels/optimizer.h"
#include "kernels/plan.h"
#include "kernels/pool.h"
#include "kernels/softmax.h"

namespace scrawl {

struct Backend {
  std::string_view name;
  std::size_t (*bytes)(const View&);      ///< memory that a view's placement takes, opaque layouts included
  std::string (*placement)(const View&);  ///< "nhwc", "nChw16c", ... for people

  Planner<ActivationForward> activation_forward;
  Planner<ActivationBackward> activation_backward;
  Planner<Conv2dForward> conv2d_forward;
  Planner<Conv2dPoolForward> conv2d_pool_forward;
  Planner<Conv2dMomentsForward> conv2d_moments_forward;
  Planner<Conv2dBackwardData> conv2d_backward_data;
  Planner<Conv2dBackwardWeight> conv2d_backward_weight;
  Planner<Gemm> gemm;
  Planner<DenseForward> dense_forward;
  Planner<DenseBackwardData> dense_backward_data;
  Planner<DenseBackwardWeight> dense_backward_weight;
  Planner<PoolForward> pool_forward;
  Planner<PoolBackward> pool_backward;
  Planner<WindowWidths> window_widths;
  Planner<BatchNormForward> batch_norm_forward;
  Planner<BatchNormInference> batch_norm_inference;
  Planner<BatchNormBackward> batch_norm_backward;
  Planner<BatchNormPoolForward> batch_norm_pool_forward;
  Planner<BatchNormPoolApply> batch_norm_pool_apply;
  Planner<BatchNormPoolBackward> batch_norm_pool_backward;
  Planner<RunningUpdate> running_update;
  Planner<FoldBatchNorm> fold_batch_norm;
  Planner<LstmForward> lstm_forward;
  Planner<LstmBackward> lstm_backward;
  Planner<SoftmaxForward> softmax_forward;
  Planner<SoftmaxBackward> softmax_backward;
  Planner<CrossEntropy> cross_entropy;
  Planner<ScaleRows> scale_rows;
  Planner<MeanForward> mean_forward;
  Planner<MeanBackward> mean_backward;
  Planner<CtcLoss> ctc_loss;
  Planner<Copy> copy;
  Planner<Add> add;
  Planner<Dropout> dropout;
  Planner<ImageToSequence> image_to_sequence;
  Planner<SequenceToImage> sequence_to_image;
  Planner<Flatten> flatten;
  Planner<Unflatten> unflatten;
  Planner<GradientNorm> gradient_norm;
  Planner<OptimizerStep> optimizer_step;
  Planner<StepEnd> step_end;
};

}  // namespace scrawl
