#pragma once
/// cuDNN's and cuBLASLt's variants of our contracts: the last entries of the lists of the CUDA backend.
///
/// They refuse where a library is missing, where it cannot do the call as the contract says, and where it
/// would not repeat its bits. Operands of cuDNN's graphs must be aligned to 16 bytes, as those of arenas are:
/// a run with others is a DeviceError. simt has none of them.

#include <span>
#include <string_view>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

/// Of calls that no library does, and of all calls on simt.
template <class Call>
std::span<const Variant<Call>> vendor_variants(const Call&) {
  return {};
}

#ifndef SCRAWL_SIMT
// conv2d.cpp
std::span<const Variant<Conv2dForward>> vendor_variants(const Conv2dForward&);
std::span<const Variant<Conv2dBackwardData>> vendor_variants(const Conv2dBackwardData&);
std::span<const Variant<Conv2dBackwardWeight>> vendor_variants(const Conv2dBackwardWeight&);
// gemm.cpp
std::span<const Variant<Gemm>> vendor_variants(const Gemm&);
std::span<const Variant<DenseForward>> vendor_variants(const DenseForward&);
std::span<const Variant<DenseBackwardData>> vendor_variants(const DenseBackwardData&);
std::span<const Variant<DenseBackwardWeight>> vendor_variants(const DenseBackwardWeight&);
// lstm.cpp
std::span<const Variant<LstmForward>> vendor_variants(const LstmForward&);
std::span<const Variant<LstmBackward>> vendor_variants(const LstmBackward&);
// softmax.cpp
std::span<const Variant<SoftmaxForward>> vendor_variants(const SoftmaxForward&);
std::span<const Variant<SoftmaxBackward>> vendor_variants(const SoftmaxBackward&);
// norm.cpp
std::span<const Variant<BatchNormForward>> vendor_variants(const BatchNormForward&);
std::span<const Variant<BatchNormInference>> vendor_variants(const BatchNormInference&);
std::span<const Variant<BatchNormBackward>> vendor_variants(const BatchNormBackward&);
// ctc.cpp
std::span<const Variant<CtcLoss>> vendor_variants(const CtcLoss&);
// pool.cpp
std::span<const Variant<PoolForward>> vendor_variants(const PoolForward&);
std::span<const Variant<PoolBackward>> vendor_variants(const PoolBackward&);
#endif

/// As first_variant: our own kernels, then the libraries'.
template <class Call>
Plan<Call> first_variant_or_vendor(std::string_view operation, std::span<const Variant<Call>> native,
                                   Call& call, const Selection& selection) {
  std::vector<Variant<Call>> all(native.begin(), native.end());
  const auto vendor = vendor_variants(call);
  all.insert(all.end(), vendor.begin(), vendor.end());
  return first_variant<Call>(operation, all, call, selection);
}

}  // namespace SCRAWL_CUDA
