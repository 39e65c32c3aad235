/// Matrix products: the list of ways to do them.

#include "kernels/gemm.h"

#include <cstring>

#include "kernels/check.h"
#include "kernels/cpu/gemm_variants.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

/// A batch without rows gives a result without elements.
template <class Call, View Call::*result>
Plan<Call> plan_empty(Call& call, const Selection&) {
  if ((call.*result).shape.count() != 0) throw Refused("takes empty batches only");
  return {.run = [](const Call&, Bytes, Stream) {}};
}

void clear(const View& view) {
  if (view.present())
    std::memset(view.data, 0, static_cast<std::size_t>(view.shape.count()) * size_of(view.type));
}

/// Sums over no rows are zero.
Plan<DenseBackwardWeight> plan_empty_sums(DenseBackwardWeight& call, const Selection&) {
  if (call.x.shape.count() != 0) throw Refused("takes empty batches only");
  make_plain(call.dw, Order::row_major);
  return {.run = [](const DenseBackwardWeight& c, Bytes, Stream) {
    clear(c.dw);
    clear(c.db);
  }};
}

constexpr Variant<Gemm> gemm_variants[] = {
    {"bf16_pairs", Origin::native, gemm_pairs},
    {"tiles", Origin::native, gemm_tiles},
    {"onednn", Origin::vendor, gemm_onednn},
    {"empty", Origin::native, plan_empty<Gemm, &Gemm::y>},
};

constexpr Variant<DenseForward> forward_variants[] = {
    {"bf16_pairs", Origin::native, dense_forward_pairs},
    {"tiles", Origin::native, dense_forward_tiles},
    {"onednn", Origin::vendor, dense_forward_onednn},
    {"empty", Origin::native, plan_empty<DenseForward, &DenseForward::y>},
};

constexpr Variant<DenseBackwardData> backward_data_variants[] = {
    {"bf16_pairs", Origin::native, dense_backward_data_pairs},
    {"tiles", Origin::native, dense_backward_data_tiles},
    {"onednn", Origin::vendor, dense_backward_data_onednn},
    {"empty", Origin::native, plan_empty<DenseBackwardData, &DenseBackwardData::dx>},
};

constexpr Variant<DenseBackwardWeight> backward_weight_variants[] = {
    {"bf16_pairs", Origin::native, dense_backward_weight_pairs},
    {"tiles", Origin::native, dense_backward_weight_tiles},
    {"onednn", Origin::vendor, dense_backward_weight_onednn},
    {"empty", Origin::native, plan_empty_sums},
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
