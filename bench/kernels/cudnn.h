#pragma once
/// cuDNN's ways to do a call, on operands that all of them share. Throw DeviceError where there is no cuDNN,
/// Refused where it does no such call.

#include "bench/kernels/problems.h"
#include "bench/kernels/search.h"

namespace scrawl::bench {

/// Each engine that cuDNN's heuristics name.
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dForward&, const Inputs&);
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dBackwardData&, const Inputs&);
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dBackwardWeight&,
                                        const Inputs&);
/// Each engine for convolution, bias and ReLU in one, then pooling, by cuDNN where it can, which leaves no
/// argmax: its own backward needs none.
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dPoolForward&, const Inputs&);
/// Each engine that sums y and its squares as well, which cuDNN has in few types, and each for the
/// convolution alone, which is spared the moments: two kinds.
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dMomentsForward&,
                                        const Inputs&);
/// Both algorithms. Logits in f32, cuDNN's only type.
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const CtcLoss&, const Inputs&);

/// Each algorithm, called directly: weights lie in cuDNN's own space beforehand, gradients stay there.
/// Operands, biases and gradients in the numbers' storage.
std::vector<Contender> cudnn_contenders(Device&, const LstmForward&, const Numbers&, const Inputs&);
/// The gradients of all operands, after that forward.
std::vector<Contender> cudnn_backward_contenders(Device&, const LstmForward&, const Numbers&, const Inputs&);

}  // namespace scrawl::bench
