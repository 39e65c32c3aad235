/// CTC's loss and gradient on device pointers and a stream of one's own.

#include "kernels/ctc.h"

#include "gpu.h"

int main() {
  constexpr int T = 12, N = 2, K = 5, L = 3;
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  float* const logits = to_gpu(std::vector<float>(T * N * K), stream);
  int* const labels =
      to_gpu<int>({1, 2, 3, 4, 4, 0}, stream);  // (N, L): what is behind a label's end is not read
  int* const label_lengths = to_gpu<int>({3, 2}, stream);
  int* const input_lengths = to_gpu<int>({T, 9}, stream);
  float* const loss = allocate<float>(N);
  float* const gradient = allocate<float>(T * N * K);
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0));

  using scrawl::DType, scrawl::make_view;
  scrawl::CtcLoss call{.x = make_view(logits, DType::f32, {T, N, K}),
                       .labels = make_view(labels, DType::i32, {N, L}),
                       .label_lengths = make_view(label_lengths, DType::i32, {N}),
                       .input_lengths = make_view(input_lengths, DType::i32, {N}),
                       .loss = make_view(loss, DType::f32, {N}),
                       .d_x = make_view(gradient, DType::f32, {T, N, K})};
  const auto plan =
      gpu::backend().ctc_loss(call, {.multiprocessors = multiprocessors});  // once for these shapes
  auto* const workspace = allocate<std::byte>(plan.workspace_bytes);
  plan.run(call, {workspace, plan.workspace_bytes}, reinterpret_cast<scrawl::Stream>(stream));  // queued

  for (const float nats : to_host(loss, N, stream)) std::printf("loss %.4f\n", nats);
  const auto frame = to_host(gradient, K, stream);  // t 0, sample 0
  std::printf("gradient %.4f %.4f %.4f %.4f %.4f\n", frame[0], frame[1], frame[2], frame[3], frame[4]);
  for (void* memory :
       std::initializer_list<void*>{logits, labels, label_lengths, input_lengths, loss, gradient, workspace})
    check(cudaFree(memory));
  check(cudaStreamDestroy(stream));
}
