/// Convolution: the list of ways to do it.

#include "kernels/conv2d.h"

#include "kernels/check.h"
#include "kernels/cpu/conv2d_variants.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

constexpr Variant<Conv2dForward> forward_variants[] = {
    {"winograd", Origin::native, conv2d_forward_winograd},
    {"shallow", Origin::native, conv2d_forward_shallow},
    {"onednn", Origin::vendor, conv2d_forward_onednn},
    {"loops", Origin::native, conv2d_forward_loops},
};

constexpr Variant<Conv2dBackwardData> backward_data_variants[] = {
    {"winograd", Origin::native, conv2d_backward_data_winograd},
    {"onednn", Origin::vendor, conv2d_backward_data_onednn},
    {"loops", Origin::native, conv2d_backward_data_loops},
};

constexpr Variant<Conv2dBackwardWeight> backward_weight_variants[] = {
    {"winograd", Origin::native, conv2d_backward_weight_winograd},
    {"shallow", Origin::native, conv2d_backward_weight_shallow},
    {"onednn", Origin::vendor, conv2d_backward_weight_onednn},
    {"loops", Origin::native, conv2d_backward_weight_loops},
};

}  // namespace

Plan<Conv2dForward> conv2d_forward(Conv2dForward& call, const Selection& selection) {
  check(call);
  return first_variant<Conv2dForward>("conv2d_forward", forward_variants, call, selection);
}

Plan<Conv2dBackwardData> conv2d_backward_data(Conv2dBackwardData& call, const Selection& selection) {
  check(call);
  return first_variant<Conv2dBackwardData>("conv2d_backward_data", backward_data_variants, call, selection);
}

Plan<Conv2dBackwardWeight> conv2d_backward_weight(Conv2dBackwardWeight& call, const Selection& selection) {
  check(call);
  return first_variant<Conv2dBackwardWeight>("conv2d_backward_weight", backward_weight_variants, call,
                                             selection);
}

}  // namespace scrawl::cpu
