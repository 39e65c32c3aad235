/// CTC by cuDNN's deterministic algorithm, in the version that has labels and lengths on the GPU: the older
/// one wants them on the host. Kernels of ours pack labels before it and complete its answers behind it; none
/// of the three waits for the host, so that streams that are captured take them.

#include "kernels/cuda/operands.h"
#include "kernels/cuda/vendor/cudnn_ctc.h"
#include "kernels/cuda/vendor/planning.h"
#include "kernels/cuda/vendor/search.h"
#include "kernels/cuda/vendor/variants.h"

namespace scrawl::cuda {

namespace {

Plan<CtcLoss> plan_of(const CtcLoss& call, cudnnCTCLossAlgo_t algorithm) {
  const auto& library = cudnn();
  const auto handle = cudnn_handle();
  const auto ctc = handle->plan(
      [&](cudnnHandle_t own) { return std::make_shared<const CudnnCtc>(library, own, call, algorithm); });
  return {.workspace_bytes = ctc->workspace_bytes(),
          .run = [handle, ctc](const CtcLoss& c, Bytes workspace, Stream stream) {
            pack_labels(c, ctc->packed(workspace), stream);
            handle->on(stream, [&](cudnnHandle_t own) { ctc->run(own, c, workspace); });
            complete_losses(c, stream);
          }};
}

void place(CtcLoss& call) {
  refuse_beyond_cudnn(call);
  make_row_major(call.x, call.labels, call.label_lengths, call.input_lengths, call.loss, call.d_x);
}

/// The other algorithm's bits change from run to run.
Plan<CtcLoss> plan(CtcLoss& call, const Selection&) {
  place(call);
  return plan_of(call, CUDNN_CTC_LOSS_ALGO_DETERMINISTIC);
}

constexpr Variant<CtcLoss> variants[] = {{"cudnn", Origin::vendor, refusing<CtcLoss, plan>}};

}  // namespace

std::span<const Variant<CtcLoss>> vendor_variants(const CtcLoss&) { return variants; }

std::vector<OfferedPlan<CtcLoss>> all_plans(CtcLoss& call, const Selection&) {
  place(call);
  std::vector<OfferedPlan<CtcLoss>> all;
  for (const auto algorithm : {CUDNN_CTC_LOSS_ALGO_DETERMINISTIC, CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC})
    all.push_back(
        {.name = algorithm == CUDNN_CTC_LOSS_ALGO_DETERMINISTIC ? "deterministic" : "non-deterministic",
         .plan = [call, algorithm] { return plan_of(call, algorithm); }});
  return all;
}

}  // namespace scrawl::cuda
