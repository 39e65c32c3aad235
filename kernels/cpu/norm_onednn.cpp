/// Batch norm by oneDNN, ReLU included. Its backward wants to know where ReLU stopped z as a mask that its
/// forward left; the contract has none, so backward begins with a forward from the same moments.

#include "kernels/cpu/dense.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/norm_variants.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/pool_variants.h"

namespace scrawl::cpu {
namespace {

using Flags = dnnl::normalization_flags;
using Description = dnnl::batch_normalization_forward::primitive_desc;

template <class Call>
void refuse(const Call& call) {
  if (call.widths.present()) throw Refused("oneDNN has no valid widths");
  if (call.x.shape.count() == 0) throw Refused("needs elements, got {}", to_string(call.x));
  if (call.x.type == DType::f16) throw Refused("needs f32 or bf16, got f16");
}

template <class Call>
Flags flags_of(const Call& call) {
  const Flags affine = Flags::use_scale | Flags::use_shift;
  return call.activation == Activation::relu ? affine | Flags::fuse_norm_relu : affine;
}

Description describe(dnnl::prop_kind phase, const View& x, float epsilon, Flags flags, int threads) {
  return describe_primitive(threads, [&] {
    return Description({phase, descriptor(x), epsilon, flags}, attributes(), engine());
  });
}

std::int64_t mask_bytes(const Description& description) {
  return static_cast<std::int64_t>(description.workspace_desc().get_size());
}

/// Operands x, gamma, beta, y, mean, variance, and the mask that training with ReLU leaves.
std::shared_ptr<Primitive> forward(const Description& d, int threads) {
  std::vector<Primitive::Operand> operands{
      {DNNL_ARG_SRC, d.src_desc()},       {DNNL_ARG_SCALE, d.weights_desc()},
      {DNNL_ARG_SHIFT, d.weights_desc()}, {DNNL_ARG_DST, d.dst_desc()},
      {DNNL_ARG_MEAN, d.mean_desc()},     {DNNL_ARG_VARIANCE, d.variance_desc()}};
  if (mask_bytes(d) > 0) operands.push_back({DNNL_ARG_WORKSPACE, d.workspace_desc()});
  return make_primitive<dnnl::batch_normalization_forward>(d, std::move(operands), threads);
}

template <class Call>
void run_forward(Primitive& primitive, const Call& c, void* y, std::byte* mask, Bytes scratchpad) {
  if (mask)
    primitive.run({c.x.data, c.gamma.data, c.beta.data, y, c.mean.data, c.variance.data, mask}, scratchpad);
  else
    primitive.run({c.x.data, c.gamma.data, c.beta.data, y, c.mean.data, c.variance.data}, scratchpad);
}

/// What forward needs to be run for the mask alone.
struct Masking {
  std::shared_ptr<Primitive> primitive;  ///< none without ReLU
  std::int64_t mask_bytes = 0, y_bytes = 0;

  Masking(const BatchNormBackward& call, int threads) {
    if (call.activation != Activation::relu) return;
    const auto description = describe(dnnl::prop_kind::forward_training, call.x, call.epsilon,
                                      flags_of(call) | Flags::use_global_stats, threads);
    primitive = forward(description, threads);
    mask_bytes = cpu::mask_bytes(description);
    y_bytes = static_cast<std::int64_t>(bytes_of(call.x));
  }
};

}  // namespace

Plan<BatchNormForward> batch_norm_forward_onednn(BatchNormForward& call, const Selection& selection) {
  refuse(call);
  make_readable(call.x);
  place_as(call.y, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance);
  const auto description =
      describe(dnnl::prop_kind::forward_training, call.x, call.epsilon, flags_of(call), selection.threads);
  const auto primitive = forward(description, selection.threads);
  Workspace need;
  need.take<std::byte>(mask_bytes(description));
  return {.workspace_bytes = need.bytes() + primitive->workspace_bytes(),
          .run = [primitive, mask = need.bytes()](const BatchNormForward& c, Bytes bytes, Stream) {
            run_forward(*primitive, c, c.y.data, mask ? bytes.data() : nullptr, bytes.subspan(mask));
          }};
}

Plan<BatchNormInference> batch_norm_inference_onednn(BatchNormInference& call, const Selection& selection) {
  refuse(call);
  make_readable(call.x);
  place_as(call.y, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance);
  const auto primitive = forward(describe(dnnl::prop_kind::forward_inference, call.x, call.epsilon,
                                          flags_of(call) | Flags::use_global_stats, selection.threads),
                                 selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const BatchNormInference& c, Bytes bytes, Stream) {
            run_forward(*primitive, c, c.y.data, nullptr, bytes);
          }};
}

Plan<BatchNormBackward> batch_norm_backward_onednn(BatchNormBackward& call, const Selection& selection) {
  refuse(call);
  make_readable(call.x);
  for (View* view : {&call.dy, &call.dx}) place_as(*view, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.dgamma, call.dbeta);
  const int threads = selection.threads;
  const auto forward_description =
      describe(dnnl::prop_kind::forward_training, call.x, call.epsilon, flags_of(call), threads);
  const auto description = describe_primitive(threads, [&] {
    return dnnl::batch_normalization_backward::primitive_desc(
        {dnnl::prop_kind::backward, descriptor(call.dx), descriptor(call.x), call.epsilon, flags_of(call)},
        attributes(), engine(), forward_description);
  });
  const Masking masking(call, threads);
  if (masking.mask_bytes != mask_bytes(forward_description))
    throw Refused("needs a mask of {} bytes, forward leaves {}", mask_bytes(forward_description),
                  masking.mask_bytes);
  std::vector<Primitive::Operand> operands{{DNNL_ARG_SRC, description.src_desc()},
                                           {DNNL_ARG_MEAN, description.mean_desc()},
                                           {DNNL_ARG_VARIANCE, description.variance_desc()},
                                           {DNNL_ARG_DIFF_DST, description.diff_dst_desc()},
                                           {DNNL_ARG_SCALE, description.weights_desc()},
                                           {DNNL_ARG_SHIFT, description.weights_desc()},
                                           {DNNL_ARG_DIFF_SRC, description.diff_src_desc()},
                                           {DNNL_ARG_DIFF_SCALE, description.diff_weights_desc()},
                                           {DNNL_ARG_DIFF_SHIFT, description.diff_weights_desc()}};
  if (masking.primitive) operands.push_back({DNNL_ARG_WORKSPACE, description.workspace_desc()});
  const auto primitive =
      make_primitive<dnnl::batch_normalization_backward>(description, std::move(operands), threads);
  Workspace need;
  need.take<std::byte>(masking.mask_bytes);
  need.take<std::byte>(masking.y_bytes);
  const auto scratchpad =
      std::max(primitive->workspace_bytes(), masking.primitive ? masking.primitive->workspace_bytes() : 0);
  return {.workspace_bytes = need.bytes() + scratchpad,
          .run = [primitive, masking, own = need.bytes()](const BatchNormBackward& c, Bytes bytes, Stream) {
            const Bytes scratchpad = bytes.subspan(own);
            if (!masking.primitive)
              return primitive->run({c.x.data, c.mean.data, c.variance.data, c.dy.data, c.gamma.data,
                                     c.beta.data, c.dx.data, c.dgamma.data, c.dbeta.data},
                                    scratchpad);
            Workspace workspace(bytes);
            auto* const mask = workspace.take<std::byte>(masking.mask_bytes);
            run_forward(*masking.primitive, c, workspace.take<std::byte>(masking.y_bytes), mask, scratchpad);
            primitive->run({c.x.data, c.mean.data, c.variance.data, c.dy.data, c.gamma.data, c.beta.data,
                            c.dx.data, c.dgamma.data, c.dbeta.data, mask},
                           scratchpad);
          }};
}

Plan<BatchNormPoolForward> batch_norm_pool_forward_onednn(BatchNormPoolForward&, const Selection&) {
  throw Refused("{}", no_onednn_maxima);
}

Plan<BatchNormPoolBackward> batch_norm_pool_backward_onednn(BatchNormPoolBackward&, const Selection&) {
  throw Refused("{}", no_onednn_maxima);
}

}  // namespace scrawl::cpu
