#pragma once
/// The kernels around cuDNN's CTC, on simt, with operands in the host's memory: they are copied there and
/// back. simt's runtime has CUDA's names, so cuDNN's headers cannot be where it is.

#include "kernels/cuda/vendor/ctc_labels.h"
#include "kernels/simt/machine.h"

namespace scrawl::simt {

/// simt's report, or nothing.
std::string pack_on_simt(const CtcLoss&, const PackedLabels&, const Schedule&);
std::string complete_on_simt(const CtcLoss&, const Schedule&);

}  // namespace scrawl::simt
