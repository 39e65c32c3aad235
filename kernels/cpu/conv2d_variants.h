#pragma once
/// Ways to convolve on the CPU; conv2d.cpp lists them, fastest first.

#include "kernels/conv2d.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

// conv2d_winograd.cpp: 3x3 windows, stride 1, at least 16 channels. Errors are a few times direct
// convolution's.
Plan<Conv2dForward> conv2d_forward_winograd(Conv2dForward&, const Selection&);
Plan<Conv2dBackwardData> conv2d_backward_data_winograd(Conv2dBackwardData&, const Selection&);
Plan<Conv2dBackwardWeight> conv2d_backward_weight_winograd(Conv2dBackwardWeight&, const Selection&);

// conv2d_shallow.cpp: at most 4 input channels, stride 1: the first layer of a network, which needs no dx.
Plan<Conv2dForward> conv2d_forward_shallow(Conv2dForward&, const Selection&);
Plan<Conv2dBackwardWeight> conv2d_backward_weight_shallow(Conv2dBackwardWeight&, const Selection&);

// conv2d_onednn.cpp: whatever oneDNN has fastest for a shape, in the placements that it asks for.
Plan<Conv2dForward> conv2d_forward_onednn(Conv2dForward&, const Selection&);
Plan<Conv2dBackwardData> conv2d_backward_data_onednn(Conv2dBackwardData&, const Selection&);
Plan<Conv2dBackwardWeight> conv2d_backward_weight_onednn(Conv2dBackwardWeight&, const Selection&);

// conv2d_loops.cpp: takes every call.
Plan<Conv2dForward> conv2d_forward_loops(Conv2dForward&, const Selection&);
Plan<Conv2dBackwardData> conv2d_backward_data_loops(Conv2dBackwardData&, const Selection&);
Plan<Conv2dBackwardWeight> conv2d_backward_weight_loops(Conv2dBackwardWeight&, const Selection&);

}  // namespace scrawl::cpu
