#include "kernels/cuda/backend.h"

#include "kernels/cuda/planners.h"

namespace SCRAWL_CUDA {

namespace {

/// From the first element to the last.
std::size_t bytes_of(const View& view) {
  if (view.shape.count() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < view.shape.rank; ++axis)
    last += (view.shape[axis] - 1) * view.strides[static_cast<std::size_t>(axis)];
  return static_cast<std::size_t>(last + 1) * size_of(view.type);
}

std::string placement_of(const View& view) {
  if (is_plain(view, Order::row_major)) return "row-major";
  return view.shape.rank == 4 && is_plain(view, Order::channels_last) ? "nhwc" : "strided";
}

#ifdef SCRAWL_SIMT
constexpr std::string_view name = "simt";
#else
constexpr std::string_view name = "cuda";
#endif

}  // namespace

const Backend& backend() {
  static const Backend table{
      .name = name,
      .bytes = bytes_of,
      .placement = placement_of,
      .activation_forward = activation_forward,
      .activation_backward = activation_backward,
      .conv2d_forward = conv2d_forward,
      .conv2d_pool_forward = conv2d_pool_forward,
      .conv2d_moments_forward = conv2d_moments_forward,
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
      .batch_norm_pool_apply = batch_norm_pool_apply,
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

}  // namespace SCRAWL_CUDA
