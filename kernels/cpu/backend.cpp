#include "kernels/cpu/backend.h"

#include "kernels/cpu/layout.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

const Backend& backend() {
  static const Backend table{
      .name = "cpu",
      .bytes = bytes_of,
      .placement = placement_of,
      .activation_forward = activation_forward,
      .activation_backward = activation_backward,
      .pool_forward = pool_forward,
      .pool_backward = pool_backward,
      .window_widths = window_widths,
      .batch_norm_forward = batch_norm_forward,
      .batch_norm_inference = batch_norm_inference,
      .batch_norm_backward = batch_norm_backward,
      .batch_norm_pool_forward = batch_norm_pool_forward,
      .batch_norm_pool_backward = batch_norm_pool_backward,
      .running_update = running_update,
      .fold_batch_norm = fold_batch_norm,
      .add = add,
      .dropout = dropout,
  };
  return table;
}

std::string libraries() {
  const auto* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

bool has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

}  // namespace scrawl::cpu
