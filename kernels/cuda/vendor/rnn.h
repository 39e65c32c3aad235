#pragma once
/// One LSTM layer of cuDNN, all sequences of one length: it wants lengths on the host, and ours are on the
/// GPU.

#include <vector>

#include "kernels/cuda/vendor/owned.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

class Rnn {
 public:
  struct Problem {
    std::int64_t steps, samples, inputs, hidden, directions;
    DType type = DType::f32;  ///< of x, y, states, weights, biases and all gradients
    F32Products f32_products = F32Products::exact;
    cudnnForwardMode_t mode = CUDNN_FWD_MODE_TRAINING;
    cudnnRNNAlgo_t algorithm = CUDNN_RNN_ALGO_STANDARD;
  };

  /// Where a part of our weights lies in cuDNN's weight space, in bytes. Gates are in one order in both.
  struct Piece {
    enum class Of : std::uint8_t { w_ih, w_hh, b } of;
    std::size_t own, theirs, bytes;
  };

  /// Memory of a run. Absent states are zero; absent gradients are not asked for.
  struct Memory {
    const void *x = nullptr, *h0 = nullptr, *c0 = nullptr;
    void *y = nullptr, *hn = nullptr, *cn = nullptr;
    const void *dy = nullptr, *dhn = nullptr, *dcn = nullptr;
    void *dx = nullptr, *dh0 = nullptr, *dc0 = nullptr;
    void *weights = nullptr, *weight_gradients = nullptr;  ///< weight_bytes each; gradients are added to
    void *workspace = nullptr, *reserve = nullptr;
  };

  /// Throws Refused, or DeviceError with what cuDNN does not take.
  Rnn(const Cudnn&, cudnnHandle_t, const Problem&);

  std::size_t weight_bytes() const { return weight_bytes_; }
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  std::size_t reserve_bytes() const { return reserve_bytes_; }
  const std::vector<Piece>& pieces() const { return pieces_; }

  void forward(cudnnHandle_t, const Memory&) const;
  /// Gradients of x and states; changes the reserve.
  void backward_data(cudnnHandle_t, const Memory&) const;
  /// After backward_data.
  void backward_weight(cudnnHandle_t, const Memory&) const;

 private:
  void find_pieces(cudnnHandle_t);

  const Cudnn& cudnn_;
  Problem problem_;
  Owned<cudnnRNNDescriptor_t> rnn_;
  Owned<cudnnRNNDataDescriptor_t> x_, y_;
  OwnedTensor state_;
  std::size_t weight_bytes_ = 0, workspace_bytes_ = 0, reserve_bytes_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace scrawl::cuda
