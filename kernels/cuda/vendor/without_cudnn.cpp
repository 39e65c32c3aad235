/// In place of cuDNN's variants where the build machine had no headers of it.

#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

constexpr std::string_view reason = "built without cuDNN's headers";

template <class Call>
Plan<Call> refuse(Call&, const Selection&) {
  throw Refused("{}", reason);
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cudnn", Origin::vendor, refuse<Call>}};

}  // namespace

LibraryReport cudnn_report() { return {.name = "cuDNN", .unusable = std::string(reason)}; }

std::span<const Variant<Conv2dForward>> vendor_variants(const Conv2dForward&) {
  return variants<Conv2dForward>;
}
std::span<const Variant<Conv2dBackwardData>> vendor_variants(const Conv2dBackwardData&) {
  return variants<Conv2dBackwardData>;
}
std::span<const Variant<Conv2dBackwardWeight>> vendor_variants(const Conv2dBackwardWeight&) {
  return variants<Conv2dBackwardWeight>;
}
std::span<const Variant<LstmForward>> vendor_variants(const LstmForward&) { return variants<LstmForward>; }
std::span<const Variant<LstmBackward>> vendor_variants(const LstmBackward&) { return variants<LstmBackward>; }
std::span<const Variant<SoftmaxForward>> vendor_variants(const SoftmaxForward&) {
  return variants<SoftmaxForward>;
}
std::span<const Variant<SoftmaxBackward>> vendor_variants(const SoftmaxBackward&) {
  return variants<SoftmaxBackward>;
}
std::span<const Variant<BatchNormForward>> vendor_variants(const BatchNormForward&) {
  return variants<BatchNormForward>;
}
std::span<const Variant<BatchNormInference>> vendor_variants(const BatchNormInference&) {
  return variants<BatchNormInference>;
}
std::span<const Variant<BatchNormBackward>> vendor_variants(const BatchNormBackward&) {
  return variants<BatchNormBackward>;
}
std::span<const Variant<CtcLoss>> vendor_variants(const CtcLoss&) { return variants<CtcLoss>; }
std::span<const Variant<PoolForward>> vendor_variants(const PoolForward&) { return variants<PoolForward>; }
std::span<const Variant<PoolBackward>> vendor_variants(const PoolBackward&) { return variants<PoolBackward>; }

}  // namespace scrawl::cuda
