/// The LSTM of the fake cuDNN: one layer in f32, forward. Its weight space has gates in reverse and gaps
/// between them, so that nobody gets by with guessing.

#include <cudnn.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/vendor/fake_tensor.h"

struct cudnnRNNStruct {
  std::int64_t inputs, hidden, directions;
};
struct cudnnRNNDataStruct {
  std::int64_t steps, samples, width;
};

namespace {

constexpr std::int64_t gap = 4;  // elements
constexpr std::int64_t parts = 8;

std::int64_t columns(const cudnnRNNStruct& r, std::int64_t part) { return part < 4 ? r.inputs : r.hidden; }

/// Where a matrix begins; parts of a direction lie in reverse, biases behind all matrices.
std::int64_t matrix_at(const cudnnRNNStruct& r, std::int64_t direction, std::int64_t part) {
  std::int64_t at = gap;
  for (std::int64_t d = 0; d < r.directions; ++d)
    for (auto p = parts - 1; p >= 0; --p) {
      if (d == direction && p == part) return at;
      at += r.hidden * columns(r, p) + gap;
    }
  return at;
}
std::int64_t bias_at(const cudnnRNNStruct& r, std::int64_t direction, std::int64_t gate) {
  return matrix_at(r, r.directions, 0) + (direction * 4 + 3 - gate) * (r.hidden + gap);
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* made) {
  *made = new cudnnTensorStruct;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
  delete tensor;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t, int rank,
                                         const int dims[], const int strides[]) {
  *tensor = {{dims, dims + rank}, {strides, strides + rank}};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, int asked, cudnnDataType_t* type,
                                         int* rank, int dims[], int strides[]) {
  *type = CUDNN_DATA_FLOAT;
  *rank = static_cast<int>(tensor->dims.size());
  for (int i = 0; i < asked && i < *rank; ++i) {
    dims[i] = tensor->dims[static_cast<std::size_t>(i)];
    strides[i] = tensor->strides[static_cast<std::size_t>(i)];
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t* made) {
  *made = new cudnnRNNStruct;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t rnn) {
  delete rnn;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t rnn, cudnnRNNAlgo_t, cudnnRNNMode_t cell,
                                       cudnnRNNBiasMode_t bias, cudnnDirectionMode_t directions,
                                       cudnnRNNInputMode_t, cudnnDataType_t type, cudnnDataType_t,
                                       cudnnMathType_t, int32_t inputs, int32_t hidden, int32_t projected,
                                       int32_t layers, cudnnDropoutDescriptor_t, uint32_t) {
  if (cell != CUDNN_LSTM || bias != CUDNN_RNN_SINGLE_INP_BIAS || type != CUDNN_DATA_FLOAT ||
      projected != hidden || layers != 1)
    return CUDNN_STATUS_BAD_PARAM;
  *rnn = {inputs, hidden, directions == CUDNN_BIDIRECTIONAL ? 2 : 1};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t* made) {
  *made = new cudnnRNNDataStruct;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t data) {
  delete data;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t data, cudnnDataType_t, cudnnRNNDataLayout_t,
                                        int steps, int samples, int width, const int lengths[], void*) {
  for (int n = 0; n < samples; ++n)
    if (lengths[n] != steps) return CUDNN_STATUS_BAD_PARAM;
  *data = {steps, samples, width};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t, cudnnRNNDescriptor_t, cudnnForwardMode_t mode,
                                        cudnnRNNDataDescriptor_t, size_t* workspace, size_t* reserve) {
  *workspace = 128;
  *reserve = mode == CUDNN_FWD_MODE_TRAINING ? 256 : 0;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t, cudnnRNNDescriptor_t rnn, size_t* bytes) {
  *bytes = static_cast<size_t>(bias_at(*rnn, rnn->directions, 3)) * sizeof(float);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t, cudnnRNNDescriptor_t rnn, int32_t direction, size_t,
                                      const void* space, int32_t part, cudnnTensorDescriptor_t matrix,
                                      void** matrix_address, cudnnTensorDescriptor_t bias,
                                      void** bias_address) {
  const auto base = reinterpret_cast<std::uintptr_t>(space);
  const auto at = [&](std::int64_t element) {
    return reinterpret_cast<void*>(base + static_cast<std::uintptr_t>(element) * sizeof(float));
  };
  const auto hidden = static_cast<int>(rnn->hidden), wide = static_cast<int>(columns(*rnn, part));
  *matrix = {{1, hidden, wide}, {hidden * wide, wide, 1}};
  *matrix_address = at(matrix_at(*rnn, direction, part));
  *bias = {{1, hidden, 1}, {hidden, 1, 1}};
  *bias_address = part < 4 ? at(bias_at(*rnn, direction, part)) : nullptr;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t, cudnnRNNDescriptor_t rnn, cudnnForwardMode_t, const int32_t*,
                              cudnnRNNDataDescriptor_t x_data, const void* x_memory,
                              cudnnRNNDataDescriptor_t y_data, void* y_memory, cudnnTensorDescriptor_t,
                              const void* h_before, void* h_after, cudnnTensorDescriptor_t,
                              const void* c_before, void* c_after, size_t, const void* space, size_t, void*,
                              size_t, void*) {
  const auto [inputs, hidden, directions] = *rnn;
  const auto [steps, samples, width] = *x_data;
  if (width != inputs || y_data->width != directions * hidden) return CUDNN_STATUS_BAD_PARAM;
  const auto* const x = static_cast<const float*>(x_memory);
  const auto* const weights = static_cast<const float*>(space);
  auto* const y = static_cast<float*>(y_memory);
  const auto state = [&](const void* memory, std::int64_t d, std::int64_t n, std::int64_t j) {
    return memory ? double{static_cast<const float*>(memory)[(d * samples + n) * hidden + j]} : 0;
  };
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < samples; ++n) {
      std::vector<double> h, c;
      for (std::int64_t j = 0; j < hidden; ++j) {
        h.push_back(state(h_before, d, n, j));
        c.push_back(state(c_before, d, n, j));
      }
      for (std::int64_t step = 0; step < steps; ++step) {
        const auto t = d == 0 ? step : steps - 1 - step;
        const auto before = h;
        for (std::int64_t j = 0; j < hidden; ++j) {
          double sums[4];
          for (std::int64_t gate = 0; gate < 4; ++gate) {
            sums[gate] = weights[bias_at(*rnn, d, gate) + j];
            for (std::int64_t i = 0; i < inputs; ++i)
              sums[gate] +=
                  weights[matrix_at(*rnn, d, gate) + j * inputs + i] * x[(t * samples + n) * inputs + i];
            for (std::int64_t i = 0; i < hidden; ++i)
              sums[gate] += weights[matrix_at(*rnn, d, 4 + gate) + j * hidden + i] *
                            before[static_cast<std::size_t>(i)];
          }
          auto& cell = c[static_cast<std::size_t>(j)];
          cell = logistic(sums[1]) * cell + logistic(sums[0]) * std::tanh(sums[2]);
          h[static_cast<std::size_t>(j)] = logistic(sums[3]) * std::tanh(cell);
          y[((t * samples + n) * directions + d) * hidden + j] =
              static_cast<float>(h[static_cast<std::size_t>(j)]);
        }
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        const auto at = (d * samples + n) * hidden + j;
        if (h_after) static_cast<float*>(h_after)[at] = static_cast<float>(h[static_cast<std::size_t>(j)]);
        if (c_after) static_cast<float*>(c_after)[at] = static_cast<float>(c[static_cast<std::size_t>(j)]);
      }
    }
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
