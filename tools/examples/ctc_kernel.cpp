/// CTC's loss and gradient on device pointers and a stream of one's own.

#include "kernels/ctc.h"

#include "gpu.h"

int main() {
  constexpr int T = 12, N = 2, K = 5, L = 3;
  const Stream stream;
  const auto logits = to_gpu(std::vector<float>(T * N * K), stream);
  const auto labels =
      to_gpu<int>({1, 2, 3, 4, 4, 0}, stream);  // (N, L): behind a label's end nothing is read
  const auto label_lengths = to_gpu<int>({3, 2}, stream), input_lengths = to_gpu<int>({T, 9}, stream);
  const auto loss = allocate<float>(N), gradient = allocate<float>(T * N * K);

  using scrawl::DType, scrawl::make_view;
  scrawl::CtcLoss call{.x = make_view(logits.get(), DType::f32, {T, N, K}),
                       .labels = make_view(labels.get(), DType::i32, {N, L}),
                       .label_lengths = make_view(label_lengths.get(), DType::i32, {N}),
                       .input_lengths = make_view(input_lengths.get(), DType::i32, {N}),
                       .loss = make_view(loss.get(), DType::f32, {N}),
                       .d_x = make_view(gradient.get(), DType::f32, {T, N, K})};
  const auto plan =
      gpu::backend().ctc_loss(call, {.multiprocessors = multiprocessors()});  // for these shapes
  const auto workspace = allocate<std::byte>(plan.workspace_bytes);
  plan.run(call, {workspace.get(), plan.workspace_bytes}, stream);  // queued

  for (const float nats : to_host(loss, N, stream)) std::printf("loss %.4f\n", nats);
  const auto frame = to_host(gradient, K, stream);  // t 0, sample 0
  std::printf("gradient %.4f %.4f %.4f %.4f %.4f\n", frame[0], frame[1], frame[2], frame[3], frame[4]);
}
