#include "kernels/cuda/vendor/rnn.h"

#include <array>

#include "kernels/error.h"

namespace scrawl::cuda {

namespace {

constexpr int gates = 4;  // i, f, g, o: cuDNN's numbers 0 to 3 for x, 4 to 7 for h

/// Products of f16 are made on tensor cores where that is asked for alone.
cudnnMathType_t math(const Rnn::Problem& p) {
  if (p.type == DType::f16) return CUDNN_TENSOR_OP_MATH;
  const bool is_exact = p.type == DType::f32 && p.f32_products == F32Products::exact;
  return is_exact ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH;
}

}  // namespace

Rnn::Rnn(const Cudnn& cudnn, cudnnHandle_t handle, const Problem& p)
    : cudnn_(cudnn),
      problem_(p),
      rnn_(cudnn, cudnn.create_rnn, cudnn.destroy_rnn),
      x_(cudnn, cudnn.create_rnn_data, cudnn.destroy_rnn_data),
      y_(cudnn, cudnn.create_rnn_data, cudnn.destroy_rnn_data),
      state_(tensor(cudnn, cudnn_type(p.type), {p.directions, p.samples, p.hidden})) {
  const auto type = cudnn_type(p.type);
  const int hidden = checked_int(p.hidden), inputs = checked_int(p.inputs);
  // One layer has no dropout between layers, so it needs no description of one.
  cudnn.check(cudnn.set_rnn(rnn_.get(), p.algorithm, CUDNN_LSTM, CUDNN_RNN_SINGLE_INP_BIAS,
                            p.directions == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL,
                            CUDNN_LINEAR_INPUT, type, CUDNN_DATA_FLOAT, math(p), inputs, hidden, hidden, 1,
                            nullptr, CUDNN_RNN_PADDED_IO_DISABLED),
              "an LSTM");
  const std::vector<int> lengths(static_cast<std::size_t>(p.samples), checked_int(p.steps));
  const auto describe = [&](const Owned<cudnnRNNDataDescriptor_t>& data, std::int64_t width) {
    cudnn.check(cudnn.set_rnn_data(data.get(), type, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED, lengths[0],
                                   checked_int(p.samples), checked_int(width), lengths.data(), nullptr),
                "sequences");
  };
  describe(x_, p.inputs);
  describe(y_, p.directions * p.hidden);
  if (p.algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC)
    cudnn.check(cudnn.build_rnn(handle, rnn_.get(), checked_int(p.samples)), "a kernel for an LSTM");
  cudnn.check(cudnn.rnn_weight_bytes(handle, rnn_.get(), &weight_bytes_), "the size of weights");
  cudnn.check(cudnn.rnn_spaces(handle, rnn_.get(), p.mode, x_.get(), &workspace_bytes_, &reserve_bytes_),
              "the size of workspaces");
  find_pieces(handle);
}

void Rnn::find_pieces(cudnnHandle_t handle) {
  const auto size = size_of(problem_.type);
  // Addresses are computed from the space's, which is not read.
  char* const space = reinterpret_cast<char*>(std::uintptr_t{1} << 20);
  OwnedTensor matrix(cudnn_, cudnn_.create_tensor, cudnn_.destroy_tensor),
      bias(cudnn_, cudnn_.create_tensor, cudnn_.destroy_tensor);
  const auto elements = [&](const OwnedTensor& found) {
    cudnnDataType_t type{};
    int rank = 0;
    std::array<int, 3> dims{}, strides{};
    cudnn_.check(cudnn_.get_tensor(found.get(), 3, &type, &rank, dims.data(), strides.data()), "a weight");
    return std::int64_t{dims[0]} * dims[1] * dims[2];
  };
  const auto add = [&](Piece::Of of, std::int64_t index, std::int64_t count, const void* address,
                       const OwnedTensor& found) {
    if (elements(found) != count)
      throw DeviceError("cuDNN: a weight: expected {} elements, got {}", count, elements(found));
    const auto bytes = static_cast<std::size_t>(count) * size,
               theirs = static_cast<std::size_t>(static_cast<const char*>(address) - space);
    if (theirs + bytes > weight_bytes_)
      throw DeviceError("cuDNN: a weight: expected it within {} bytes, got {} at {}", weight_bytes_, bytes,
                        theirs);
    const Piece piece{of, static_cast<std::size_t>(index) * bytes, theirs, bytes};
    if (!pieces_.empty()) {
      auto& last = pieces_.back();
      if (last.of == of && last.own + last.bytes == piece.own && last.theirs + last.bytes == piece.theirs) {
        last.bytes += bytes;
        return;
      }
    }
    pieces_.push_back(piece);
  };
  for (const auto of : {Piece::Of::w_ih, Piece::Of::w_hh, Piece::Of::b})
    for (int direction = 0; direction < static_cast<int>(problem_.directions); ++direction)
      for (int gate = 0; gate < gates; ++gate) {
        void *matrix_at = nullptr, *bias_at = nullptr;
        cudnn_.check(cudnn_.rnn_weight(handle, rnn_.get(), direction, weight_bytes_, space,
                                       of == Piece::Of::w_hh ? gates + gate : gate, matrix.get(), &matrix_at,
                                       bias.get(), &bias_at),
                     "the place of a weight");
        const auto index = direction * gates + gate;
        if (of == Piece::Of::b)
          add(of, index, problem_.hidden, bias_at, bias);
        else
          add(of, index, problem_.hidden * (of == Piece::Of::w_ih ? problem_.inputs : problem_.hidden),
              matrix_at, matrix);
      }
}

void Rnn::forward(cudnnHandle_t handle, const Memory& m) const {
  cudnn_.check(cudnn_.rnn_forward(handle, rnn_.get(), problem_.mode, nullptr, x_.get(), m.x, y_.get(), m.y,
                                  state_.get(), m.h0, m.hn, state_.get(), m.c0, m.cn, weight_bytes_,
                                  m.weights, workspace_bytes_, m.workspace, reserve_bytes_, m.reserve),
               "LSTM forward");
}

void Rnn::backward_data(cudnnHandle_t handle, const Memory& m) const {
  cudnn_.check(
      cudnn_.rnn_backward_data(handle, rnn_.get(), nullptr, y_.get(), m.y, m.dy, x_.get(), m.dx, state_.get(),
                               m.h0, m.dhn, m.dh0, state_.get(), m.c0, m.dcn, m.dc0, weight_bytes_, m.weights,
                               workspace_bytes_, m.workspace, reserve_bytes_, m.reserve),
      "LSTM backward for data");
}

void Rnn::backward_weight(cudnnHandle_t handle, const Memory& m) const {
  cudnn_.check(
      cudnn_.rnn_backward_weight(handle, rnn_.get(), CUDNN_WGRAD_MODE_ADD, nullptr, x_.get(), m.x,
                                 state_.get(), m.h0, y_.get(), m.y, weight_bytes_, m.weight_gradients,
                                 workspace_bytes_, m.workspace, reserve_bytes_, m.reserve),
      "LSTM backward for weights");
}

}  // namespace scrawl::cuda
