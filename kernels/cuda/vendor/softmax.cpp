/// Softmax by cuDNN, its accurate algorithm: the largest value is subtracted first.

#include "kernels/cuda/operands.h"
#include "kernels/cuda/vendor/owned.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

cudnnSoftmaxAlgorithm_t algorithm(SoftmaxKind kind) {
  return kind == SoftmaxKind::log_softmax ? CUDNN_SOFTMAX_LOG : CUDNN_SOFTMAX_ACCURATE;
}

/// Rows as images of one pixel: (rows, classes, 1, 1).
OwnedTensor rows(const Cudnn& cudnn, const View& y) {
  const auto classes = y.shape[y.shape.rank - 1];
  return tensor(cudnn, cudnn_type(y.type), {y.shape.count() / classes, classes, 1, 1});
}

constexpr float alpha = 1, beta = 0;
constexpr auto mode = CUDNN_SOFTMAX_MODE_CHANNEL;

void run(const Cudnn& cudnn, cudnnHandle_t handle, cudnnTensorDescriptor_t tensor, const SoftmaxForward& c) {
  cudnn.check(cudnn.softmax_forward(handle, algorithm(c.kind), mode, &alpha, tensor, c.x.data, &beta, tensor,
                                    c.y.data),
              "softmax");
}
void run(const Cudnn& cudnn, cudnnHandle_t handle, cudnnTensorDescriptor_t tensor, const SoftmaxBackward& c) {
  cudnn.check(cudnn.softmax_backward(handle, algorithm(c.kind), mode, &alpha, tensor, c.y.data, tensor,
                                     c.dy.data, &beta, tensor, c.dx.data),
              "softmax backward");
}

void place(SoftmaxForward& c) { make_row_major(c.x, c.y); }
void place(SoftmaxBackward& c) { make_row_major(c.y, c.dy, c.dx); }

template <class Call>
Plan<Call> plan(Call& call, const Selection&) {
  refuse_empty(call.y);
  place(call);
  const auto& library = cudnn();
  const auto handle = cudnn_handle();
  const auto shape = std::make_shared<const OwnedTensor>(rows(library, call.y));
  return {.run = [&library, handle, shape](const Call& c, Bytes, Stream stream) {
    handle->on(stream, [&](cudnnHandle_t own) { run(library, own, shape->get(), c); });
  }};
}

template <class Call>
constexpr Variant<Call> variants[] = {{"cudnn", Origin::vendor, refusing<Call, plan<Call>>}};

}  // namespace

std::span<const Variant<SoftmaxForward>> vendor_variants(const SoftmaxForward&) {
  return variants<SoftmaxForward>;
}
std::span<const Variant<SoftmaxBackward>> vendor_variants(const SoftmaxBackward&) {
  return variants<SoftmaxBackward>;
}

}  // namespace scrawl::cuda
