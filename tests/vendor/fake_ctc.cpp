/// The CTC of the fake cuDNN, as strict as the real one is silent: a label longer than its frames, an empty
/// one, or one longer than was said is an error; frames beyond a sample's last keep what was there; and
/// activations of -inf that leave no path make NaN of gradients.

#include <cudnn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "tests/vendor/fake_tensor.h"

struct cudnnCTCLossStruct {
  int longest;
};

namespace {

constexpr size_t workspace_bytes(cudnnCTCLossAlgo_t algorithm) {
  return algorithm == CUDNN_CTC_LOSS_ALGO_DETERMINISTIC ? 1000 : 5000;
}

using Row = std::vector<double>;

constexpr double never = -std::numeric_limits<double>::infinity();

/// log(exp(a) + exp(b))
double log_add(double a, double b) {
  const double most = std::max(a, b);
  return most == never ? never : most + std::log1p(std::exp(std::min(a, b) - most));
}

/// A sample: its frames' log-probabilities, and states, blanks between and around symbols.
struct Sample {
  std::vector<Row> log_p;
  std::vector<int> states;

  double log_p_of(std::size_t t, std::size_t s) const {
    return log_p[t][static_cast<std::size_t>(states[s])];
  }
  bool skips(std::size_t s) const { return s > 1 && states[s] != 0 && states[s] != states[s - 2]; }
};

/// Log-likelihoods of prefixes: before each frame's emission, and after the last.
struct Chain {
  std::vector<Row> entered;
  Row last;
};

Chain chain(const Sample& sample) {
  Chain c{{}, Row(sample.states.size(), never)};
  c.last[0] = 0;
  for (std::size_t t = 0; t < sample.log_p.size(); ++t) {
    Row entered = c.last;
    for (std::size_t s = 1; s < entered.size(); ++s) {
      entered[s] = log_add(entered[s], c.last[s - 1]);
      if (sample.skips(s)) entered[s] = log_add(entered[s], c.last[s - 2]);
    }
    for (std::size_t s = 0; s < entered.size(); ++s) c.last[s] = entered[s] + sample.log_p_of(t, s);
    c.entered.push_back(std::move(entered));
  }
  return c;
}

Sample reversed(Sample sample) {
  std::reverse(sample.log_p.begin(), sample.log_p.end());
  std::reverse(sample.states.begin(), sample.states.end());
  return sample;
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreateCTCLossDescriptor(cudnnCTCLossDescriptor_t* made) {
  *made = new cudnnCTCLossStruct{0};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyCTCLossDescriptor(cudnnCTCLossDescriptor_t ctc) {
  delete ctc;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetCTCLossDescriptor_v9(cudnnCTCLossDescriptor_t ctc, cudnnDataType_t type,
                                           cudnnLossNormalizationMode_t normalisation, cudnnCTCGradMode_t,
                                           int longest) {
  if (type != CUDNN_DATA_FLOAT || normalisation != CUDNN_LOSS_NORMALIZATION_SOFTMAX || longest < 1 ||
      longest > 255)
    return CUDNN_STATUS_BAD_PARAM;
  *ctc = {longest};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetCTCLossWorkspaceSize_v8(cudnnHandle_t, cudnnCTCLossAlgo_t algorithm,
                                              cudnnCTCLossDescriptor_t, cudnnTensorDescriptor_t x,
                                              cudnnTensorDescriptor_t d_x, size_t* bytes) {
  if (x->dims != d_x->dims) return CUDNN_STATUS_BAD_PARAM;
  *bytes = workspace_bytes(algorithm);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCTCLoss_v8(cudnnHandle_t, cudnnCTCLossAlgo_t algorithm, cudnnCTCLossDescriptor_t ctc,
                              cudnnTensorDescriptor_t x_shape, const void* x_memory, const int labels[],
                              const int label_lengths[], const int input_lengths[], void* loss_memory,
                              cudnnTensorDescriptor_t d_x_shape, void* d_x_memory, size_t bytes,
                              void* workspace) {
  if (x_shape->dims != d_x_shape->dims || bytes != workspace_bytes(algorithm)) return CUDNN_STATUS_BAD_PARAM;
  std::memset(workspace, 0xff, bytes);
  const int samples = x_shape->dims[1], classes = x_shape->dims[2];
  const auto at = [&](std::size_t t, int n, std::size_t k) {
    return static_cast<std::size_t>(x_shape->strides[0]) * t +
           static_cast<std::size_t>(x_shape->strides[1] * n) + k;
  };
  const auto* const x = static_cast<const float*>(x_memory);
  auto* const d_x = static_cast<float*>(d_x_memory);
  for (int n = 0; n < samples; ++n) {
    const int length = label_lengths[n], steps = input_lengths[n];
    if (length < 1 || length > ctc->longest || length > steps || steps > x_shape->dims[0])
      return CUDNN_STATUS_EXECUTION_FAILED;
    Sample sample{{}, {0}};
    for (int i = 0; i < length; ++i) {
      if (labels[i] < 1 || labels[i] >= classes) return CUDNN_STATUS_EXECUTION_FAILED;
      sample.states.insert(sample.states.end(), {labels[i], 0});
    }
    labels += length;
    for (std::size_t t = 0; t < static_cast<std::size_t>(steps); ++t) {
      const float* const row = x + at(t, n, 0);
      const double largest = *std::max_element(row, row + classes);
      Row log_p(row, row + classes);
      double sum = 0;
      for (const double value : log_p) sum += std::exp(value - largest);
      for (double& value : log_p) value -= largest + std::log(sum);
      sample.log_p.push_back(log_p);
    }

    const Chain forward = chain(sample), backward = chain(reversed(sample));
    const auto states = sample.states.size();
    const double all = log_add(forward.last[states - 1], forward.last[states - 2]);
    static_cast<float*>(loss_memory)[n] = static_cast<float>(-all);
    if (!d_x) continue;
    for (std::size_t t = 0; t < sample.log_p.size(); ++t) {
      const auto& others = backward.entered[sample.log_p.size() - 1 - t];
      Row occupancy(sample.log_p[t].size(), 0);
      for (std::size_t s = 0; s < states; ++s)
        occupancy[static_cast<std::size_t>(sample.states[s])] +=
            std::exp(forward.entered[t][s] + sample.log_p_of(t, s) + others[states - 1 - s] - all);
      for (std::size_t k = 0; k < occupancy.size(); ++k)
        d_x[at(t, n, k)] = static_cast<float>(std::exp(sample.log_p[t][k]) - occupancy[k]);
    }
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
