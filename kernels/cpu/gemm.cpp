/// Matrix products: the list of ways to do them.

#include "kernels/gemm.h"

#include "kernels/check.h"
#include "kernels/cpu/gemm_variants.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

constexpr Variant<Gemm> gemm_variants[] = {
    {"onednn", Origin::vendor, gemm_onednn},
};

constexpr Variant<DenseForward> forward_variants[] = {
    {"onednn", Origin::vendor, dense_forward_onednn},
};

constexpr Variant<DenseBackwardData> backward_data_variants[] = {
    {"onednn", Origin::vendor, dense_backward_data_onednn},
};

constexpr Variant<DenseBackwardWeight> backward_weight_variants[] = {
    {"onednn", Origin::vendor, dense_backward_weight_onednn},
};

}  // namespace

Plan<Gemm> gemm(Gemm& call, const Selection& selection) {
  check(call);
  return first_variant<Gemm>("gemm", gemm_variants, call, selection);
}

Plan<DenseForward> dense_forward(DenseForward& call, const Selection& selection) {
  check(call);
  return first_variant<DenseForward>("dense_forward", forward_variants, call, selection);
}

Plan<DenseBackwardData> dense_backward_data(DenseBackwardData& call, const Selection& selection) {
  check(call);
  return first_variant<DenseBackwardData>("dense_backward_data", backward_data_variants, call, selection);
}

Plan<DenseBackwardWeight> dense_backward_weight(DenseBackwardWeight& call, const Selection& selection) {
  check(call);
  return first_variant<DenseBackwardWeight>("dense_backward_weight", backward_weight_variants, call,
                                            selection);
}

}  // namespace scrawl::cpu
