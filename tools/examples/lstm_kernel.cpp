/// One bidirectional LSTM layer in inference, on device pointers and a stream of one's own.

#include "kernels/lstm.h"

#include <cmath>

#include "gpu.h"

namespace {
std::vector<float> wave(int count, float rate) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(std::sin(rate * static_cast<float>(i)));
  return values;
}
}  // namespace

int main() {
  constexpr int T = 4, N = 2, I = 3, H = 8, D = 2;
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  float* const x = to_gpu(wave(T * N * I, 0.7f), stream);
  float* const w_ih = to_gpu(wave(D * 4 * H * I, 0.3f), stream);  // PyTorch's order of gates: i f g o
  float* const w_hh = to_gpu(wave(D * 4 * H * H, 0.2f), stream);
  float* const b = to_gpu(wave(D * 4 * H, 0.5f), stream);
  float* const y = allocate<float>(T * N * D * H);
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0));

  using scrawl::DType, scrawl::make_view;
  scrawl::LstmForward call{.x = make_view(x, DType::f32, {T, N, I}),
                           .w_ih = make_view(w_ih, DType::f32, {D, 4 * H, I}),
                           .w_hh = make_view(w_hh, DType::f32, {D, 4 * H, H}),
                           .b = make_view(b, DType::f32, {D, 4 * H}),
                           .y = make_view(y, DType::f32, {T, N, D * H})};
  const auto plan =
      gpu::backend().lstm_forward(call, {.multiprocessors = multiprocessors});  // once for these shapes
  auto* const workspace = allocate<std::byte>(plan.workspace_bytes);
  plan.run(call, {workspace, plan.workspace_bytes}, reinterpret_cast<scrawl::Stream>(stream));  // queued

  for (const float h : to_host(y, T * N * D * H, stream)) std::printf("%.5f\n", h);
  for (void* memory : std::initializer_list<void*>{x, w_ih, w_hh, b, y, workspace}) check(cudaFree(memory));
  check(cudaStreamDestroy(stream));
}
