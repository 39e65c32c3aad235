#include "kernels/reference/backend.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/reference/operations.h"

namespace scrawl::reference {
namespace {

template <class Call>
Plan<Call> plan(Call& call, const Selection&) {
  check(call, Widest::f64);
  return {.variant = "reference", .run = [](const Call& given, Bytes, Stream) { run(given); }};
}

Plan<LstmForward> lstm_forward(LstmForward& call, const Selection& selection) {
  check(call, Widest::f64);
  if (call.reserve.present())
    call.reserve = make_view(call.reserve.data, DType::u8, {lstm_reserve_bytes(call.x, call.w_hh)});
  return plan(call, selection);
}

Plan<LstmBackward> lstm_backward(LstmBackward& call, const Selection& selection) {
  check(call, Widest::f64);
  if (const auto bytes = lstm_reserve_bytes(call.x, call.w_hh); call.reserve.shape[0] != bytes)
    throw ShapeError("lstm_backward: reserve: expected {} bytes, got {}", bytes, call.reserve.shape[0]);
  return plan(call, selection);
}

/// From the first element to the last.
std::size_t bytes(const View& view) {
  if (view.shape.count() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < view.shape.rank; ++axis)
    last += (view.shape[axis] - 1) * view.strides[static_cast<std::size_t>(axis)];
  return static_cast<std::size_t>(last + 1) * size_of(view.type);
}

std::string placement(const View& view) {
  if (is_plain(view, Order::row_major)) return "row-major";
  return view.shape.rank == 4 && is_plain(view, Order::channels_last) ? "nhwc" : "strided";
}

}  // namespace

const Backend& backend() {
  static const Backend table{
      .name = "reference",
      .bytes = bytes,
      .placement = placement,
      .activation_forward = plan,
      .activation_backward = plan,
      .conv2d_forward = plan,
      .conv2d_pool_forward = plan,
      .conv2d_moments_forward = plan,
      .conv2d_backward_data = plan,
      .conv2d_backward_weight = plan,
      .gemm = plan,
      .dense_forward = plan,
      .dense_backward_data = plan,
      .dense_backward_weight = plan,
      .pool_forward = plan,
      .pool_backward = plan,
      .window_widths = plan,
      .batch_norm_forward = plan,
      .batch_norm_inference = plan,
      .batch_norm_backward = plan,
      .batch_norm_pool_forward = plan,
      .batch_norm_pool_apply = plan,
      .batch_norm_pool_backward = plan,
      .running_update = plan,
      .fold_batch_norm = plan,
      .lstm_forward = lstm_forward,
      .lstm_backward = lstm_backward,
      .softmax_forward = plan,
      .softmax_backward = plan,
      .cross_entropy = plan,
      .scale_rows = plan,
      .mean_forward = plan,
      .mean_backward = plan,
      .ctc_loss = plan,
      .copy = plan,
      .add = plan,
      .dropout = plan,
      .image_to_sequence = plan,
      .sequence_to_image = plan,
      .flatten = plan,
      .unflatten = plan,
      .gradient_norm = plan,
      .optimizer_step = plan,
      .step_end = plan,
  };
  return table;
}

}  // namespace scrawl::reference
