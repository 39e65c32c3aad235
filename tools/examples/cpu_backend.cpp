/// Softmax by the CPU backend, in memory of one's own.

#include "kernels/cpu/backend.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

int main() {
  constexpr int N = 2, K = 3;
  std::vector<float> x{0, 1, 2, 5, 5, 5}, y(N * K);

  using scrawl::DType, scrawl::make_view;
  scrawl::SoftmaxForward call{.x = make_view(x.data(), DType::f32, {N, K}),
                              .y = make_view(y.data(), DType::f32, {N, K})};
  const auto plan = scrawl::cpu::backend().softmax_forward(call, {.threads = 2});  // once for these shapes
  const auto bytes = (plan.workspace_bytes + 63) / 64 * 64;
  const std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, bytes), std::free);
  plan.run(call, {static_cast<std::byte*>(workspace.get()), plan.workspace_bytes}, nullptr);

  std::printf("by %s\n", plan.variant.c_str());
  for (int n = 0; n < N; ++n) std::printf("%.4f %.4f %.4f\n", y[n * K], y[n * K + 1], y[n * K + 2]);
}
