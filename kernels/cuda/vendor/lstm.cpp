/// LSTM by cuDNN, in f32: in narrower types its biases, cells and gradients of weights are narrow too, and
/// the contract's are f32. Weights are copied into cuDNN's weight space, and gradients out of it, by every
/// run.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/cuda/device/runtime.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/rnn.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

/// cuDNN's products are cuBLAS's, on streams of its own: they repeat their bits only where each stream's
/// workspace is fixed. Source: cuDNN's documentation, "Reproducibility".
void refuse_changing_bits() {
  const char* const value = std::getenv("CUBLAS_WORKSPACE_CONFIG");
  const std::string config = value ? value : "";
  for (const auto fixed : {":16:8", ":4096:2", ":4096:8"})
    if (config == fixed) return;
  throw Refused("cuDNN: its bits repeat only with CUBLAS_WORKSPACE_CONFIG=:4096:8 or :16:8, got \"{}\"",
                config);
}

Rnn::Problem problem_of(const auto& c, const Selection& selection, cudnnForwardMode_t mode) {
  if (c.x.type != DType::f32) throw Refused("cuDNN: needs f32, got {}", name_of(c.x.type));
  if (c.lengths.present())
    throw Refused("cuDNN: needs sequences of one length: it wants lengths on the host, when it plans");
  refuse_empty(c.x);
  refuse_changing_bits();
  return {.steps = c.x.shape[0],
          .samples = c.x.shape[1],
          .inputs = c.x.shape[2],
          .hidden = c.w_hh.shape[2],
          .directions = c.w_hh.shape[0],
          .f32_products = selection.f32_products,
          .mode = mode};
}

/// One byte more than cuDNN needs: the extent tells its reserve from those of our own kernels, which are
/// even.
std::int64_t reserve_extent(const Rnn& rnn) {
  return static_cast<std::int64_t>((rnn.reserve_bytes() + 1) / 2 * 2 + 1);
}

void copy(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "weights are copied");
}

/// Calls f(ours, theirs, bytes) for each piece of the weights.
void each_piece(const Rnn& rnn, const View& w_ih, const View& w_hh, const View& b, std::byte* space,
                auto&& f) {
  for (const auto& piece : rnn.pieces()) {
    const auto& own = piece.of == Rnn::Piece::Of::w_ih ? w_ih : piece.of == Rnn::Piece::Of::w_hh ? w_hh : b;
    f(own.as<std::byte>() + piece.own, space + piece.theirs, piece.bytes);
  }
}

void pack(const Rnn& rnn, const auto& c, std::byte* space, cudaStream_t stream) {
  // What lies between pieces is cuDNN's: nobody is to find garbage there.
  check(cudaMemsetAsync(space, 0, rnn.weight_bytes(), stream), "weights are cleared");
  each_piece(
      rnn, c.w_ih, c.w_hh, c.b, space,
      [&](const std::byte* own, std::byte* theirs, std::size_t bytes) { copy(theirs, own, bytes, stream); });
}

Plan<LstmForward> plan_forward(LstmForward& call, const Selection& selection) {
  const bool trains = call.reserve.present();
  const auto problem =
      problem_of(call, selection, trains ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE);
  const auto& library = cudnn();
  const auto handle = cudnn_handle();
  const auto rnn =
      handle->plan([&](cudnnHandle_t own) { return std::make_shared<const Rnn>(library, own, problem); });
  make_row_major(call.x, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.hn, call.cn);
  if (trains) call.reserve = make_view(nullptr, DType::u8, {reserve_extent(*rnn)});
  const auto weights = piece(rnn->weight_bytes());
  return {.workspace_bytes = weights + rnn->workspace_bytes(),
          .run = [=](const LstmForward& c, Bytes workspace, Stream stream) {
            const auto on = reinterpret_cast<cudaStream_t>(stream);
            pack(*rnn, c, workspace.data(), on);
            handle->on(stream, [&](cudnnHandle_t own) {
              rnn->forward(own, {.x = c.x.data,
                                 .h0 = c.h0.data,
                                 .c0 = c.c0.data,
                                 .y = c.y.data,
                                 .hn = c.hn.data,
                                 .cn = c.cn.data,
                                 .weights = workspace.data(),
                                 .workspace = workspace.data() + weights,
                                 .reserve = c.reserve.data});
            });
          }};
}

Plan<LstmBackward> plan_backward(LstmBackward& call, const Selection& selection) {
  const auto problem = problem_of(call, selection, CUDNN_FWD_MODE_TRAINING);
  const auto& library = cudnn();
  const auto handle = cudnn_handle();
  const auto rnn =
      handle->plan([&](cudnnHandle_t own) { return std::make_shared<const Rnn>(library, own, problem); });
  if (const auto extent = reserve_extent(*rnn); call.reserve.shape[0] != extent)
    throw Refused("cuDNN: needs the reserve of its own forward, {} bytes, got {}", extent,
                  call.reserve.shape[0]);
  make_row_major(call.x, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.reserve, call.dy,
                 call.dhn, call.dcn, call.dx, call.dh0, call.dc0, call.dw_ih, call.dw_hh, call.db);
  const auto weights = piece(rnn->weight_bytes()), reserve = piece(rnn->reserve_bytes());
  return {.workspace_bytes = 2 * weights + reserve + rnn->workspace_bytes(),
          .run = [=](const LstmBackward& c, Bytes workspace, Stream stream) {
            const auto on = reinterpret_cast<cudaStream_t>(stream);
            std::byte* const own_weights = workspace.data();
            std::byte* const gradients = own_weights + weights;
            std::byte* const kept = gradients + weights;
            pack(*rnn, c, own_weights, on);
            check(cudaMemsetAsync(gradients, 0, rnn->weight_bytes(), on), "gradients are cleared");
            copy(kept, c.reserve.data, rnn->reserve_bytes(), on);  // which backward_data changes
            const Rnn::Memory memory{.x = c.x.data,
                                     .h0 = c.h0.data,
                                     .c0 = c.c0.data,
                                     .y = c.y.data,
                                     .dy = c.dy.data,
                                     .dhn = c.dhn.data,
                                     .dcn = c.dcn.data,
                                     .dx = c.dx.data,
                                     .dh0 = c.dh0.data,
                                     .dc0 = c.dc0.data,
                                     .weights = own_weights,
                                     .weight_gradients = gradients,
                                     .workspace = kept + reserve,
                                     .reserve = kept};
            handle->on(stream, [&](cudnnHandle_t own) {
              rnn->backward_data(own, memory);
              rnn->backward_weight(own, memory);
            });
            each_piece(*rnn, c.dw_ih, c.dw_hh, c.db, gradients,
                       [&](std::byte* own, const std::byte* theirs, std::size_t bytes) {
                         copy(own, theirs, bytes, on);
                       });
          }};
}

constexpr Variant<LstmForward> forward[] = {{"cudnn", Origin::vendor, refusing<LstmForward, plan_forward>}};
constexpr Variant<LstmBackward> backward[] = {
    {"cudnn", Origin::vendor, refusing<LstmBackward, plan_backward>}};

}  // namespace

std::span<const Variant<LstmForward>> vendor_variants(const LstmForward&) { return forward; }
std::span<const Variant<LstmBackward>> vendor_variants(const LstmBackward&) { return backward; }

}  // namespace scrawl::cuda
