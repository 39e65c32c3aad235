/// The LSTM of the fake cuDNN: one layer, in any type. Its weight space has gates in reverse and gaps between
/// them, so that nobody gets by with guessing. One algorithm wants to be built first, one refuses bf16 when
/// it is described, and one refuses everything when it runs.

#include <cudnn.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/dtype.h"
#include "tests/vendor/fake_tensor.h"

struct cudnnRNNStruct {
  std::int64_t inputs, hidden, directions;
  cudnnDataType_t type;
  cudnnRNNAlgo_t algorithm;
  bool is_built;
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

/// Memory in a type, or none: then all of it is 0.
struct Numbers {
  cudnnDataType_t type;
  void* memory;

  Numbers(cudnnDataType_t t, const void* m) : type(t), memory(const_cast<void*>(m)) {}

  /// Calls f(element i).
  template <class F>
  void with(std::int64_t i, F&& f) const {
    if (type == CUDNN_DATA_BFLOAT16)
      f(static_cast<scrawl::bf16*>(memory)[i]);
    else if (type == CUDNN_DATA_HALF)
      f(static_cast<scrawl::f16*>(memory)[i]);
    else
      f(static_cast<float*>(memory)[i]);
  }
  double operator[](std::int64_t i) const {
    double value = 0;
    if (memory) with(i, [&](const auto& element) { value = static_cast<float>(element); });
    return value;
  }
  void put(std::int64_t i, double value) {
    if (!memory) return;
    with(i, [&]<class T>(T& element) { element = static_cast<T>(static_cast<float>(value)); });
  }
  void add(std::int64_t i, double value) { put(i, (*this)[i] + value); }
};

std::size_t size_of(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? 4 : 2; }

/// Where elements lie. The reserve has four gates and the cell, in float.
struct Walk {
  std::int64_t inputs, hidden, directions, steps, samples;

  Walk(const cudnnRNNStruct& r, const cudnnRNNDataStruct& x)
      : inputs(r.inputs), hidden(r.hidden), directions(r.directions), steps(x.steps), samples(x.samples) {}

  std::int64_t time(std::int64_t d, std::int64_t step) const { return d == 0 ? step : steps - 1 - step; }
  std::int64_t state(std::int64_t d, std::int64_t n, std::int64_t j) const {
    return (d * samples + n) * hidden + j;
  }
  std::int64_t input(std::int64_t t, std::int64_t n, std::int64_t i) const {
    return (t * samples + n) * inputs + i;
  }
  std::int64_t output(std::int64_t t, std::int64_t n, std::int64_t d, std::int64_t j) const {
    return ((t * samples + n) * directions + d) * hidden + j;
  }
  std::int64_t kept(std::int64_t t, std::int64_t n, std::int64_t d, std::int64_t j) const {
    return output(t, n, d, j) * 5;
  }
  std::size_t reserve_bytes() const { return static_cast<std::size_t>(kept(steps, 0, 0, 0)) * sizeof(float); }
};

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
cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t rnn, cudnnRNNAlgo_t algorithm,
                                       cudnnRNNMode_t cell, cudnnRNNBiasMode_t bias,
                                       cudnnDirectionMode_t directions, cudnnRNNInputMode_t,
                                       cudnnDataType_t type, cudnnDataType_t, cudnnMathType_t, int32_t inputs,
                                       int32_t hidden, int32_t projected, int32_t layers,
                                       cudnnDropoutDescriptor_t, uint32_t) {
  if (cell != CUDNN_LSTM || bias != CUDNN_RNN_SINGLE_INP_BIAS || projected != hidden || layers != 1)
    return CUDNN_STATUS_BAD_PARAM;
  if (algorithm == CUDNN_RNN_ALGO_PERSIST_STATIC && type == CUDNN_DATA_BFLOAT16)
    return CUDNN_STATUS_NOT_SUPPORTED;
  *rnn = {inputs, hidden, directions == CUDNN_BIDIRECTIONAL ? 2 : 1, type, algorithm, false};
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
cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t, cudnnRNNDescriptor_t rnn, cudnnForwardMode_t mode,
                                        cudnnRNNDataDescriptor_t x, size_t* workspace, size_t* reserve) {
  *workspace = 128;
  *reserve = mode == CUDNN_FWD_MODE_TRAINING ? Walk{*rnn, *x}.reserve_bytes() : 0;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t, cudnnRNNDescriptor_t rnn, size_t* bytes) {
  *bytes = static_cast<size_t>(bias_at(*rnn, rnn->directions, 3)) * size_of(rnn->type);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t, cudnnRNNDescriptor_t rnn, int32_t direction, size_t,
                                      const void* space, int32_t part, cudnnTensorDescriptor_t matrix,
                                      void** matrix_address, cudnnTensorDescriptor_t bias,
                                      void** bias_address) {
  const auto base = reinterpret_cast<std::uintptr_t>(space);
  const auto at = [&](std::int64_t element) {
    return reinterpret_cast<void*>(base + static_cast<std::uintptr_t>(element) * size_of(rnn->type));
  };
  const auto hidden = static_cast<int>(rnn->hidden), wide = static_cast<int>(columns(*rnn, part));
  *matrix = {{1, hidden, wide}, {hidden * wide, wide, 1}};
  *matrix_address = at(matrix_at(*rnn, direction, part));
  *bias = {{1, hidden, 1}, {hidden, 1, 1}};
  *bias_address = part < 4 ? at(bias_at(*rnn, direction, part)) : nullptr;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBuildRNNDynamic(cudnnHandle_t, cudnnRNNDescriptor_t rnn, int) {
  rnn->is_built = true;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t, cudnnRNNDescriptor_t rnn, cudnnForwardMode_t, const int32_t*,
                              cudnnRNNDataDescriptor_t x_data, const void* x_memory,
                              cudnnRNNDataDescriptor_t y_data, void* y_memory, cudnnTensorDescriptor_t,
                              const void* h_before, void* h_after, cudnnTensorDescriptor_t,
                              const void* c_before, void* c_after, size_t, const void* space, size_t, void*,
                              size_t, void* reserve) {
  if (rnn->algorithm == CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H) return CUDNN_STATUS_NOT_SUPPORTED;
  if (rnn->algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC && !rnn->is_built) return CUDNN_STATUS_BAD_PARAM;
  const Walk walk{*rnn, *x_data};
  if (x_data->width != rnn->inputs || y_data->width != rnn->directions * rnn->hidden)
    return CUDNN_STATUS_BAD_PARAM;
  const Numbers x{rnn->type, x_memory}, weights{rnn->type, space};
  const Numbers h0{rnn->type, h_before}, c0{rnn->type, c_before};
  Numbers y{rnn->type, y_memory}, hn{rnn->type, h_after}, cn{rnn->type, c_after};
  const auto [inputs, hidden, directions, type, algorithm, built] = *rnn;
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < walk.samples; ++n) {
      std::vector<double> h, c;
      for (std::int64_t j = 0; j < hidden; ++j) {
        h.push_back(h0[walk.state(d, n, j)]);
        c.push_back(c0[walk.state(d, n, j)]);
      }
      for (std::int64_t step = 0; step < walk.steps; ++step) {
        const auto t = walk.time(d, step);
        const auto before = h;
        for (std::int64_t j = 0; j < hidden; ++j) {
          double sums[4];
          for (std::int64_t gate = 0; gate < 4; ++gate) {
            sums[gate] = weights[bias_at(*rnn, d, gate) + j];
            for (std::int64_t i = 0; i < inputs; ++i)
              sums[gate] += weights[matrix_at(*rnn, d, gate) + j * inputs + i] * x[walk.input(t, n, i)];
            for (std::int64_t i = 0; i < hidden; ++i)
              sums[gate] += weights[matrix_at(*rnn, d, 4 + gate) + j * hidden + i] *
                            before[static_cast<std::size_t>(i)];
          }
          const double gates[] = {logistic(sums[0]), logistic(sums[1]), std::tanh(sums[2]),
                                  logistic(sums[3])};
          auto& cell = c[static_cast<std::size_t>(j)];
          cell = gates[1] * cell + gates[0] * gates[2];
          h[static_cast<std::size_t>(j)] = gates[3] * std::tanh(cell);
          y.put(walk.output(t, n, d, j), h[static_cast<std::size_t>(j)]);
          if (!reserve) continue;
          float* const kept = static_cast<float*>(reserve) + walk.kept(t, n, d, j);
          for (int gate = 0; gate < 4; ++gate) kept[gate] = static_cast<float>(gates[gate]);
          kept[4] = static_cast<float>(cell);
        }
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        hn.put(walk.state(d, n, j), h[static_cast<std::size_t>(j)]);
        cn.put(walk.state(d, n, j), c[static_cast<std::size_t>(j)]);
      }
    }
  return CUDNN_STATUS_SUCCESS;
}

/// In place of the gates, the reserve then has the gradients before them.
cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t, cudnnRNNDescriptor_t rnn, const int32_t*,
                                      cudnnRNNDataDescriptor_t, const void*, const void* dy_memory,
                                      cudnnRNNDataDescriptor_t x_data, void* dx_memory,
                                      cudnnTensorDescriptor_t, const void*, const void* dhn_memory,
                                      void* dh0_memory, cudnnTensorDescriptor_t, const void* c_before,
                                      const void* dcn_memory, void* dc0_memory, size_t, const void* space,
                                      size_t, void*, size_t, void* reserve) {
  const Walk walk{*rnn, *x_data};
  const Numbers dy{rnn->type, dy_memory}, dhn{rnn->type, dhn_memory}, dcn{rnn->type, dcn_memory};
  const Numbers c0{rnn->type, c_before}, weights{rnn->type, space};
  Numbers dx{rnn->type, dx_memory}, dh0{rnn->type, dh0_memory}, dc0{rnn->type, dc0_memory};
  const auto [inputs, hidden, directions, type, algorithm, built] = *rnn;
  std::vector<double> sums(static_cast<std::size_t>(walk.steps * walk.samples * inputs));
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < walk.samples; ++n) {
      std::vector<double> dh, dc;
      for (std::int64_t j = 0; j < hidden; ++j) {
        dh.push_back(dhn[walk.state(d, n, j)]);
        dc.push_back(dcn[walk.state(d, n, j)]);
      }
      for (auto step = walk.steps - 1; step >= 0; --step) {
        const auto t = walk.time(d, step);
        std::vector<double> dh_before(static_cast<std::size_t>(hidden));
        for (std::int64_t j = 0; j < hidden; ++j) {
          float* const kept = static_cast<float*>(reserve) + walk.kept(t, n, d, j);
          const double i = kept[0], f = kept[1], g = kept[2], o = kept[3], c = std::tanh(kept[4]);
          const double before =
              step == 0 ? c0[walk.state(d, n, j)]
                        : static_cast<float*>(reserve)[walk.kept(walk.time(d, step - 1), n, d, j) + 4];
          const double at_h = dh[static_cast<std::size_t>(j)] + dy[walk.output(t, n, d, j)];
          auto& at_c = dc[static_cast<std::size_t>(j)];
          at_c += at_h * o * (1 - c * c);
          const double gradients[] = {at_c * g * i * (1 - i), at_c * before * f * (1 - f),
                                      at_c * i * (1 - g * g), at_h * c * o * (1 - o)};
          at_c *= f;
          for (std::int64_t gate = 0; gate < 4; ++gate) {
            kept[gate] = static_cast<float>(gradients[gate]);
            for (std::int64_t k = 0; k < inputs; ++k)
              sums[static_cast<std::size_t>(walk.input(t, n, k))] +=
                  gradients[gate] * weights[matrix_at(*rnn, d, gate) + j * inputs + k];
            for (std::int64_t k = 0; k < hidden; ++k)
              dh_before[static_cast<std::size_t>(k)] +=
                  gradients[gate] * weights[matrix_at(*rnn, d, 4 + gate) + j * hidden + k];
          }
        }
        dh = dh_before;
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        dh0.put(walk.state(d, n, j), dh[static_cast<std::size_t>(j)]);
        dc0.put(walk.state(d, n, j), dc[static_cast<std::size_t>(j)]);
      }
    }
  for (std::size_t i = 0; i < sums.size(); ++i) dx.put(static_cast<std::int64_t>(i), sums[i]);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t, cudnnRNNDescriptor_t rnn, cudnnWgradMode_t mode,
                                         const int32_t*, cudnnRNNDataDescriptor_t x_data,
                                         const void* x_memory, cudnnTensorDescriptor_t, const void* h_before,
                                         cudnnRNNDataDescriptor_t, const void* y_memory, size_t, void* space,
                                         size_t, void*, size_t, void* reserve) {
  if (mode != CUDNN_WGRAD_MODE_ADD) return CUDNN_STATUS_BAD_PARAM;
  const Walk walk{*rnn, *x_data};
  const Numbers x{rnn->type, x_memory}, y{rnn->type, y_memory}, h0{rnn->type, h_before};
  Numbers gradients{rnn->type, space};
  const auto [inputs, hidden, directions, type, algorithm, built] = *rnn;
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t gate = 0; gate < 4; ++gate)
      for (std::int64_t j = 0; j < hidden; ++j) {
        std::vector<double> row(static_cast<std::size_t>(inputs + hidden + 1));
        for (std::int64_t step = 0; step < walk.steps; ++step)
          for (std::int64_t n = 0; n < walk.samples; ++n) {
            const auto t = walk.time(d, step);
            const double dz = static_cast<float*>(reserve)[walk.kept(t, n, d, j) + gate];
            for (std::int64_t i = 0; i < inputs; ++i)
              row[static_cast<std::size_t>(i)] += dz * x[walk.input(t, n, i)];
            for (std::int64_t i = 0; i < hidden; ++i)
              row[static_cast<std::size_t>(inputs + i)] +=
                  dz *
                  (step == 0 ? h0[walk.state(d, n, i)] : y[walk.output(walk.time(d, step - 1), n, d, i)]);
            row.back() += dz;
          }
        for (std::int64_t i = 0; i < inputs; ++i)
          gradients.add(matrix_at(*rnn, d, gate) + j * inputs + i, row[static_cast<std::size_t>(i)]);
        for (std::int64_t i = 0; i < hidden; ++i)
          gradients.add(matrix_at(*rnn, d, 4 + gate) + j * hidden + i,
                        row[static_cast<std::size_t>(inputs + i)]);
        gradients.add(bias_at(*rnn, d, gate) + j, row.back());
      }
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
