/// Average pooling by oneDNN, which leaves padding out of the count as the contract does.

#include "kernels/cpu/dense.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/pool_variants.h"
#include "kernels/cpu/widened.h"

namespace scrawl::cpu {
namespace {

using dnnl::memory;

constexpr auto algorithm = dnnl::algorithm::pooling_avg_exclude_padding;

template <class Call>
void refuse(const Call& call, const View& x, const View& y) {
  if (call.params.kind == PoolKind::max) throw Refused("{}", no_onednn_maxima);
  if (call.x_widths.present() || call.y_widths.present()) throw Refused("oneDNN has no valid widths");
  if (x.shape.count() == 0 || y.shape.count() == 0) throw Refused("needs elements, got {}", to_string(x));
}

struct Geometry {
  memory::dims strides, window, padding;

  explicit Geometry(const PoolParams& p)
      : strides{p.stride_h, p.stride_w}, window{p.window_h, p.window_w}, padding{p.pad_h, p.pad_w} {}
};

dnnl::pooling_forward::primitive_desc describe_forward(const Geometry& g, const View& x, const View& y,
                                                       int threads) {
  return describe_primitive(threads, [&] {
    return dnnl::pooling_forward::primitive_desc({dnnl::prop_kind::forward_training, algorithm, descriptor(x),
                                                  descriptor(y), g.strides, g.window, g.padding, g.padding},
                                                 attributes(), engine());
  });
}

Plan<PoolForward> plan_forward(PoolForward& call, const Selection& selection) {
  make_readable(call.x);
  place_like(call.y, call.x);
  const auto description = describe_forward(Geometry(call.params), call.x, call.y, selection.threads);
  const auto primitive = make_primitive<dnnl::pooling_forward>(
      description, {{DNNL_ARG_SRC, description.src_desc()}, {DNNL_ARG_DST, description.dst_desc()}},
      selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const PoolForward& c, Bytes workspace, Stream) {
            primitive->run({c.x.data, c.y.data}, workspace);
          }};
}

Plan<PoolBackward> plan_backward(PoolBackward& call, const Selection& selection) {
  make_readable(call.dy);
  place_like(call.dx, call.dy);
  const Geometry g(call.params);
  const auto forward = describe_forward(g, call.dx, call.dy, selection.threads);
  const auto description = describe_primitive(selection.threads, [&] {
    return dnnl::pooling_backward::primitive_desc(
        {algorithm, descriptor(call.dx), descriptor(call.dy), g.strides, g.window, g.padding, g.padding},
        attributes(), engine(), forward);
  });
  const auto primitive = make_primitive<dnnl::pooling_backward>(
      description,
      {{DNNL_ARG_DIFF_DST, description.diff_dst_desc()}, {DNNL_ARG_DIFF_SRC, description.diff_src_desc()}},
      selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const PoolBackward& c, Bytes workspace, Stream) {
            primitive->run({c.dy.data, c.dx.data}, workspace);
          }};
}

/// Whether the gradients of windows add up as they should: where these overlap, oneDNN adds in bf16.
bool adds_in(DType type, const PoolParams& p) {
  const bool overlaps = p.stride_h < p.window_h || p.stride_w < p.window_w;
  return type == DType::f32 || (type == DType::bf16 && !overlaps);
}

}  // namespace

Plan<PoolForward> pool_forward_onednn(PoolForward& call, const Selection& selection) {
  refuse(call, call.x, call.y);
  if (call.x.type != DType::f16) return plan_forward(call, selection);
  return plan_widened(call, selection, plan_forward, {&PoolForward::x}, {&PoolForward::y});
}

Plan<PoolBackward> pool_backward_onednn(PoolBackward& call, const Selection& selection) {
  refuse(call, call.dx, call.dy);
  if (adds_in(call.dx.type, call.params)) return plan_backward(call, selection);
  return plan_widened(call, selection, plan_backward, {&PoolBackward::dy}, {&PoolBackward::dx});
}

}  // namespace scrawl::cpu
