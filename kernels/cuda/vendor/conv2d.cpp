/// Convolutions by cuDNN's engines, bias and activation fused. Sums of dy, for db, are our own kernel's.

#include "kernels/check.h"
#include "kernels/cuda/sums.h"
#include "kernels/cuda/vendor/conv2d_graph.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/search.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

DType input_type(const Conv2dForward& c) { return c.x.type; }
DType input_type(const Conv2dMomentsForward& c) { return c.x.type; }
DType input_type(const Conv2dBackwardData& c) { return c.dy.type; }
DType input_type(const Conv2dBackwardWeight& c) { return c.x.type; }

/// Of all images: the rows of dy, NHWC, as a matrix of pixels by channels.
std::int64_t pixels_of(const View& dy) { return dy.shape.count() / dy.shape[1]; }

template <class Call>
Plan<Call> plan_of(const Call& call, std::shared_ptr<CudnnHandle> handle, EnginePlan&& engine) {
  auto bytes = engine.workspace_bytes();
  const auto engine_bytes = piece(bytes);
  if constexpr (std::is_same_v<Call, Conv2dBackwardWeight>)
    if (call.db.present()) bytes = engine_bytes + column_sums_bytes(pixels_of(call.dy), call.db.shape[0]);
  const auto shared = std::make_shared<const EnginePlan>(std::move(engine));
  return {.workspace_bytes = bytes,
          .run = [shared, handle, engine_bytes](const Call& c, Bytes workspace, Stream stream) {
            shared->run(*handle, operands_of(c), workspace, stream);
            if constexpr (std::is_same_v<Call, Conv2dBackwardWeight>)
              if (c.db.present())
                column_sums(c.dy, pixels_of(c.dy), c.db, workspace.subspan(engine_bytes), stream);
          }};
}

template <class Call>
Plan<Call> plan(Call& call, const Selection& selection) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  const auto limits = limits_of(input_type(call), selection);
  return plan_of(call, handle,
                 handle->plan([&](cudnnHandle_t own) { return graph.plan({.handle = own}, limits); }));
}

template <class Call>
std::vector<OfferedPlan<Call>> offers(Call& call, const Selection& selection) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  auto limits = limits_of(input_type(call), selection);
  limits.repeats = EngineLimits::Repeats::not_needed;
  std::vector<OfferedPlan<Call>> all;
  for (auto& engine : handle->plan([&](cudnnHandle_t own) { return graph.offers({.handle = own}); })) {
    auto name = engine.name();
    const auto offer = std::make_shared<EngineOffer>(std::move(engine));
    all.push_back({.name = std::move(name), .plan = [=] {
                     return plan_of(call, handle, handle->plan([&](cudnnHandle_t own) {
                       return std::move(*offer).plan({.handle = own}, limits);
                     }));
                   }});
  }
  return all;
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cudnn", Origin::vendor, refusing<Call, plan<Call>>}};

}  // namespace

std::span<const Variant<Conv2dForward>> vendor_variants(const Conv2dForward&) {
  return variants<Conv2dForward>;
}
std::span<const Variant<Conv2dBackwardData>> vendor_variants(const Conv2dBackwardData&) {
  return variants<Conv2dBackwardData>;
}
std::span<const Variant<Conv2dBackwardWeight>> vendor_variants(const Conv2dBackwardWeight&) {
  return variants<Conv2dBackwardWeight>;
}

std::vector<OfferedPlan<Conv2dForward>> all_plans(Conv2dForward& call, const Selection& selection) {
  return offers(call, selection);
}
std::vector<OfferedPlan<Conv2dMomentsForward>> all_plans(Conv2dMomentsForward& call,
                                                         const Selection& selection) {
  return offers(call, selection);
}
std::vector<OfferedPlan<Conv2dBackwardData>> all_plans(Conv2dBackwardData& call, const Selection& selection) {
  return offers(call, selection);
}
std::vector<OfferedPlan<Conv2dBackwardWeight>> all_plans(Conv2dBackwardWeight& call,
                                                         const Selection& selection) {
  return offers(call, selection);
}

}  // namespace scrawl::cuda
