#include "kernels/cuda/vendor/cudnn_ctc.h"

#include <algorithm>

#include "kernels/cuda/vendor/planning.h"

namespace scrawl::cuda {

namespace {

/// Room for what stands for an empty label, too.
std::int64_t most_symbols(const CtcLoss& c) { return std::max<std::int64_t>(c.labels.shape[1], 1); }

constexpr std::size_t bytes_of(std::int64_t integers) {
  return static_cast<std::size_t>(integers) * sizeof(std::int32_t);
}

}  // namespace

void refuse_beyond_cudnn(const CtcLoss& c) {
  if (c.x.type != DType::f32) throw Refused("cuDNN: needs f32, got {}", name_of(c.x.type));
  if (c.input != CtcInput::logits)
    throw Refused("cuDNN: needs logits, got log-probabilities: it normalises what it is given");
  if (c.blank != 0) throw Refused("cuDNN: needs blank 0, got {}", c.blank);
  if (c.x.shape[2] < 2) throw Refused("cuDNN: needs a class beside the blank, got {} classes", c.x.shape[2]);
  if (c.labels.shape[1] > most_packed_symbols)
    throw Refused("cuDNN: needs labels of at most {} symbols, got {}", most_packed_symbols,
                  c.labels.shape[1]);
  refuse_empty(c.x);
}

CudnnCtc::CudnnCtc(const Cudnn& cudnn, cudnnHandle_t handle, const CtcLoss& c, cudnnCTCLossAlgo_t algorithm)
    : cudnn_(cudnn),
      algorithm_(algorithm),
      x_(tensor(cudnn, CUDNN_DATA_FLOAT, {c.x.shape[0], c.x.shape[1], c.x.shape[2]})),
      ctc_(cudnn, cudnn.create_ctc, cudnn.destroy_ctc) {
  const auto symbols = most_symbols(c);
  cudnn.check(cudnn.set_ctc(ctc_.get(), CUDNN_DATA_FLOAT, CUDNN_LOSS_NORMALIZATION_SOFTMAX,
                            CUDNN_CTC_ZERO_OOB_GRADIENTS, checked_int(symbols)),
              "a CTC");
  cudnn.check(cudnn.ctc_workspace(handle, algorithm_, ctc_.get(), x_.get(), x_.get(), &own_bytes_),
              "the size of CTC's workspace");
  const auto samples = c.x.shape[1];
  label_lengths_ = piece(bytes_of(samples * symbols));
  input_lengths_ = label_lengths_ + piece(bytes_of(samples));
  own_ = input_lengths_ + piece(bytes_of(samples));
}

PackedLabels CudnnCtc::packed(Bytes workspace) const {
  const auto at = [&](std::size_t byte) { return reinterpret_cast<std::int32_t*>(workspace.data() + byte); };
  return {.labels = at(0), .label_lengths = at(label_lengths_), .input_lengths = at(input_lengths_)};
}

void CudnnCtc::run(cudnnHandle_t handle, const CtcLoss& c, Bytes workspace) const {
  const auto labels = packed(workspace);
  // Without a gradient its memory is null, and its description still that of x.
  cudnn_.check(cudnn_.ctc_loss(handle, algorithm_, ctc_.get(), x_.get(), c.x.data, labels.labels,
                               labels.label_lengths, labels.input_lengths, c.loss.data, x_.get(),
                               c.d_x.present() ? c.d_x.data : nullptr, own_bytes_, workspace.data() + own_),
               "CTC");
}

}  // namespace scrawl::cuda
