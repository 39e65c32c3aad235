/// cuDNN's CTC takes labels that lie end to end, of at most 255 symbols, and leaves open what a sample
/// without a path costs. Our contract has padded labels of any length on the GPU, and says what such samples
/// cost.

#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

Plan<CtcLoss> refuse(CtcLoss&, const Selection&) {
  throw Refused("cuDNN: needs labels that lie end to end and samples that have a path");
}

constexpr Variant<CtcLoss> variants[] = {{"cudnn", Origin::vendor, refuse}};

}  // namespace

std::span<const Variant<CtcLoss>> vendor_variants(const CtcLoss&) { return variants; }

}  // namespace scrawl::cuda
