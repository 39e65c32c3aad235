#pragma once
/// Batch normalisation as graphs of cuDNN. Images NHWC.

#include "kernels/cuda/vendor/graph.h"
#include "kernels/norm.h"

namespace scrawl::cuda {

/// What the graphs read of the host when they run, aligned like other operands.
struct NormScalars {
  alignas(graph_alignment) float epsilon = 0;
  alignas(graph_alignment) float factor = 0;  ///< of the variance, as a running average
};

// Operands: x, gamma, beta, y, mean, inverse deviation, variance, zeros (C), twice, a running mean that
// nobody reads (C), epsilon, factor. cuDNN's variance is the unbiased one, and only as a running average:
// from 0 and with the factor (M - 1) / M it is the biased one.
Graph graph_of(const Cudnn&, BatchNormForward&);
/// Operands: x, gamma, beta, mean, variance, y, epsilon.
Graph graph_of(const Cudnn&, BatchNormInference&);
/// Operands: x, dy, gamma, mean, inverse deviation (C), dx, dgamma, dbeta.
Graph graph_of(const Cudnn&, BatchNormBackward&);
/// Operands: variance, inverse deviation (C), epsilon.
Graph inverse_deviation_graph(const Cudnn&, const View& variance);

}  // namespace scrawl::cuda
