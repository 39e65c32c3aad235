#pragma once
/// Convolutions as graphs of cuDNN.

#include "kernels/conv2d.h"
#include "kernels/cuda/vendor/graph.h"

namespace scrawl::cuda {

// Images NHWC, weights KRSC. Operands in the order in which `operands_of` lists a call's. Throw Refused where
// the contract asks for what cuDNN does not do, DeviceError for what cuDNN does not take.

Graph graph_of(const Cudnn&, Conv2dForward&);
/// In place of moments, sums over all pixels: of y in `mean`, of its squares in `variance`. Without b.
Graph graph_of(const Cudnn&, Conv2dMomentsForward&);
Graph graph_of(const Cudnn&, Conv2dBackwardData&);
Graph graph_of(const Cudnn&, Conv2dBackwardWeight&);

std::vector<void*> operands_of(const Conv2dForward&);
std::vector<void*> operands_of(const Conv2dMomentsForward&);
std::vector<void*> operands_of(const Conv2dBackwardData&);
std::vector<void*> operands_of(const Conv2dBackwardWeight&);

/// What a convolution of operands of a type may take.
EngineLimits limits_of(DType, const Selection&);

}  // namespace scrawl::cuda
