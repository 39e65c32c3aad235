#pragma once
/// Pooling as graphs of cuDNN. Images NHWC.

#include "kernels/cuda/vendor/graph.h"
#include "kernels/pool.h"

namespace scrawl::cuda {

/// Operands: x, y.
Graph graph_of(const Cudnn&, PoolForward&);
/// Operands: dy, dx. Of averages only.
Graph graph_of(const Cudnn&, PoolBackward&);

}  // namespace scrawl::cuda
