/// One bidirectional LSTM layer in inference, on device pointers and a stream of one's own.

#include "kernels/lstm.h"

#include <cmath>

#include "gpu.h"

int main() {
  constexpr int T = 4, N = 2, I = 3, H = 8, D = 2;
  const Stream stream;
  const auto wave = [&](int count, float rate) {
    std::vector<float> values;
    for (int i = 0; i < count; ++i) values.push_back(std::sin(rate * static_cast<float>(i)));
    return to_gpu(values, stream);
  };
  const auto x = wave(T * N * I, 0.7f), b = wave(D * 4 * H, 0.5f);
  const auto w_ih = wave(D * 4 * H * I, 0.3f), w_hh = wave(D * 4 * H * H, 0.2f);  // PyTorch's gates: i f g o
  const auto y = allocate<float>(T * N * D * H);

  using scrawl::DType, scrawl::make_view;
  scrawl::LstmForward call{.x = make_view(x.get(), DType::f32, {T, N, I}),
                           .w_ih = make_view(w_ih.get(), DType::f32, {D, 4 * H, I}),
                           .w_hh = make_view(w_hh.get(), DType::f32, {D, 4 * H, H}),
                           .b = make_view(b.get(), DType::f32, {D, 4 * H}),
                           .y = make_view(y.get(), DType::f32, {T, N, D * H})};
  const auto plan =
      gpu::backend().lstm_forward(call, {.multiprocessors = multiprocessors()});  // for these shapes
  const auto workspace = allocate<std::byte>(plan.workspace_bytes);
  plan.run(call, {workspace.get(), plan.workspace_bytes}, stream);  // queued

  for (const float h : to_host(y, T * N * D * H, stream)) std::printf("%.5f\n", h);
}
