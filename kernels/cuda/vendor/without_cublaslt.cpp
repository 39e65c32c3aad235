/// In place of cuBLASLt's variants where the build machine had no headers of it.

#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

constexpr std::string_view reason = "built without cuBLASLt's headers";

template <class Call>
Plan<Call> refuse(Call&, const Selection&) {
  throw Refused("{}", reason);
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cublaslt", Origin::vendor, refuse<Call>}};

}  // namespace

LibraryReport cublaslt_report() { return {.name = "cuBLASLt", .unusable = std::string(reason)}; }

std::span<const Variant<Gemm>> vendor_variants(const Gemm&) { return variants<Gemm>; }
std::span<const Variant<DenseForward>> vendor_variants(const DenseForward&) { return variants<DenseForward>; }
std::span<const Variant<DenseBackwardData>> vendor_variants(const DenseBackwardData&) {
  return variants<DenseBackwardData>;
}
std::span<const Variant<DenseBackwardWeight>> vendor_variants(const DenseBackwardWeight&) {
  return variants<DenseBackwardWeight>;
}

}  // namespace scrawl::cuda
