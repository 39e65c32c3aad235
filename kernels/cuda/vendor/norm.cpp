/// Batch norm by cuDNN's graphs. Its sums are plain ones (norm.h).

#include <cuda_runtime_api.h>

#include "kernels/cuda/device/runtime.h"
#include "kernels/cuda/vendor/norm_graph.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

std::size_t channel_bytes(const View& x) {
  return piece(static_cast<std::size_t>(x.shape[1]) * sizeof(float));
}

void* address(const float& host) { return const_cast<float*>(&host); }

using SharedPlan = std::shared_ptr<const EnginePlan>;

SharedPlan engine_of(const Graph& graph, CudnnHandle& handle) {
  return handle.plan(
      [&](cudnnHandle_t own) { return std::make_shared<const EnginePlan>(graph.plan({.handle = own}, {})); });
}

Plan<BatchNormForward> plan_forward(BatchNormForward& call, const Selection&) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  const auto engine = engine_of(graph, *handle);
  const auto vector = channel_bytes(call.x), engine_bytes = piece(engine->workspace_bytes());
  return {
      .workspace_bytes = engine_bytes + 4 * vector,
      .run = [=](const BatchNormForward& c, Bytes workspace, Stream stream) {
        std::byte* const inverse_deviation = workspace.data() + engine_bytes;
        std::byte* const zeros = inverse_deviation + vector;  // two vectors: no average is before this one
        check(cudaMemsetAsync(zeros, 0, 2 * vector, reinterpret_cast<cudaStream_t>(stream)),
              "averages are cleared");
        const auto pixels = static_cast<double>(c.x.shape.count() / c.x.shape[1]);
        const NormScalars scalars{.epsilon = c.epsilon, .factor = static_cast<float>((pixels - 1) / pixels)};
        void* const operands[] = {c.x.data,
                                  c.gamma.data,
                                  c.beta.data,
                                  c.y.data,
                                  c.mean.data,
                                  inverse_deviation,
                                  c.variance.data,
                                  zeros,
                                  zeros + vector,
                                  zeros + 2 * vector,
                                  address(scalars.epsilon),
                                  address(scalars.factor)};
        engine->run(*handle, operands, workspace, stream);
      }};
}

Plan<BatchNormInference> plan_inference(BatchNormInference& call, const Selection&) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  const auto engine = engine_of(graph, *handle);
  return {.workspace_bytes = engine->workspace_bytes(),
          .run = [=](const BatchNormInference& c, Bytes workspace, Stream stream) {
            const NormScalars scalars{.epsilon = c.epsilon};
            void* const operands[] = {c.x.data,
                                      c.gamma.data,
                                      c.beta.data,
                                      c.mean.data,
                                      c.variance.data,
                                      c.y.data,
                                      address(scalars.epsilon)};
            engine->run(*handle, operands, workspace, stream);
          }};
}

Plan<BatchNormBackward> plan_backward(BatchNormBackward& call, const Selection&) {
  const auto graph = graph_of(cudnn(), call);
  const auto handle = cudnn_handle();
  const auto engine = engine_of(graph, *handle),
             deviation = engine_of(inverse_deviation_graph(cudnn(), call.variance), *handle);
  const auto bytes = piece(std::max(engine->workspace_bytes(), deviation->workspace_bytes()));
  return {.workspace_bytes = bytes + channel_bytes(call.x),
          .run = [=](const BatchNormBackward& c, Bytes workspace, Stream stream) {
            std::byte* const inverse_deviation = workspace.data() + bytes;
            const NormScalars scalars{.epsilon = c.epsilon};
            void* const first[] = {c.variance.data, inverse_deviation, address(scalars.epsilon)};
            deviation->run(*handle, first, workspace, stream);
            void* const operands[] = {c.x.data,          c.dy.data, c.gamma.data,  c.mean.data,
                                      inverse_deviation, c.dx.data, c.dgamma.data, c.dbeta.data};
            engine->run(*handle, operands, workspace, stream);
          }};
}

constexpr Variant<BatchNormForward> forward[] = {
    {"cudnn", Origin::vendor, refusing<BatchNormForward, plan_forward>}};
constexpr Variant<BatchNormInference> inference[] = {
    {"cudnn", Origin::vendor, refusing<BatchNormInference, plan_inference>}};
constexpr Variant<BatchNormBackward> backward[] = {
    {"cudnn", Origin::vendor, refusing<BatchNormBackward, plan_backward>}};

}  // namespace

std::span<const Variant<BatchNormForward>> vendor_variants(const BatchNormForward&) { return forward; }
std::span<const Variant<BatchNormInference>> vendor_variants(const BatchNormInference&) { return inference; }
std::span<const Variant<BatchNormBackward>> vendor_variants(const BatchNormBackward&) { return backward; }

}  // namespace scrawl::cuda
