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
      .conv2d_forward = conv2d_forward,
      .conv2d_backward_data = conv2d_backward_data,
      .conv2d_backward_weight = conv2d_backward_weight,
      .gemm = gemm,
      .dense_forward = dense_forward,
      .dense_backward_data = dense_backward_data,
      .dense_backward_weight = dense_backward_weight,
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
      .lstm_forward = lstm_forward,
      .lstm_backward = lstm_backward,
      .softmax_forward = softmax_forward,
      .softmax_backward = softmax_backward,
      .cross_entropy = cross_entropy,
      .scale_rows = scale_rows,
      .mean_forward = mean_forward,
      .mean_backward = mean_backward,
      .ctc_loss = ctc_loss,
      .copy = copy,
      .add = add,
      .dropout = dropout,
      .image_to_sequence = image_to_sequence,
      .sequence_to_image = sequence_to_image,
      .flatten = flatten,
      .unflatten = unflatten,
      .gradient_norm = gradient_norm,
      .optimizer_step = optimizer_step,
      .step_end = step_end,
  };
  return table;
}

/// The instructions that oneDNN may use: less than the processor's under ONEDNN_MAX_CPU_ISA.
static std::string_view isa_name() {
  const auto isa = dnnl::get_effective_cpu_isa();
  for (const auto& [known, name] : {std::pair{dnnl::cpu_isa::sse41, "SSE4.1"},
                                    {dnnl::cpu_isa::avx, "AVX"},
                                    {dnnl::cpu_isa::avx2, "AVX2"},
                                    {dnnl::cpu_isa::avx512_core, "AVX-512"},
                                    {dnnl::cpu_isa::avx512_core_vnni, "AVX-512 VNNI"},
                                    {dnnl::cpu_isa::avx512_core_bf16, "AVX-512 BF16"},
                                    {dnnl::cpu_isa::avx512_core_amx, "AMX"}})
    if (isa == known) return name;
  return "all instructions";
}

std::string libraries() {
  const auto* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}, {}", version->major, version->minor, version->patch, isa_name());
}

bool has_bf16() {
  const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (has & needed) == needed;
}

}  // namespace scrawl::cpu
