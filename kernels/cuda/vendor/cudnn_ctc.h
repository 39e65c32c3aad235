#pragma once
/// CTC by cuDNN, of logits in f32, with labels and lengths on the GPU.

#include "kernels/cuda/vendor/ctc_labels.h"
#include "kernels/cuda/vendor/owned.h"

namespace scrawl::cuda {

class CudnnCtc {
 public:
  /// Throws Refused where cuDNN does not do the call as the contract says, or DeviceError with what it does
  /// not take.
  CudnnCtc(const Cudnn&, cudnnHandle_t, const CtcLoss&,
           cudnnCTCLossAlgo_t = CUDNN_CTC_LOSS_ALGO_DETERMINISTIC);

  /// Packed labels and cuDNN's own.
  std::size_t workspace_bytes() const { return own_ + own_bytes_; }
  PackedLabels packed(Bytes workspace) const;

  /// From x and what is packed to loss and d_x, which complete_losses then makes the contract's.
  void run(cudnnHandle_t, const CtcLoss&, Bytes workspace) const;

 private:
  const Cudnn& cudnn_;
  cudnnCTCLossAlgo_t algorithm_;
  OwnedTensor x_;
  Owned<cudnnCTCLossDescriptor_t> ctc_;
  std::size_t label_lengths_ = 0, input_lengths_ = 0, own_ = 0;  ///< where they begin in the workspace
  std::size_t own_bytes_ = 0;
};

/// Throws Refused with what no cuDNN does.
void refuse_beyond_cudnn(const CtcLoss&);

}  // namespace scrawl::cuda
