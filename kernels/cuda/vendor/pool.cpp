/// Pooling by cuDNN's graphs: averages, and maxima whose places nobody asks for.

#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/pool_graph.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

template <class Call>
Plan<Call> plan(Call& call, const Selection&) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  const auto engine = handle->plan(
      [&](cudnnHandle_t own) { return std::make_shared<const EnginePlan>(graph.plan({.handle = own}, {})); });
  return {.workspace_bytes = engine->workspace_bytes(),
          .run = [engine, handle](const Call& c, Bytes workspace, Stream stream) {
            if constexpr (std::is_same_v<Call, PoolForward>) {
              void* const operands[] = {c.x.data, c.y.data};
              engine->run(*handle, operands, workspace, stream);
            } else {
              void* const operands[] = {c.dy.data, c.dx.data};
              engine->run(*handle, operands, workspace, stream);
            }
          }};
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cudnn", Origin::vendor, refusing<Call, plan<Call>>}};

}  // namespace

std::span<const Variant<PoolForward>> vendor_variants(const PoolForward&) { return variants<PoolForward>; }
std::span<const Variant<PoolBackward>> vendor_variants(const PoolBackward&) { return variants<PoolBackward>; }

}  // namespace scrawl::cuda
