#include "kernels/cpu/conv2d_variants.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/widened.h"
#include "kernels/cpu/widths.h"

namespace scrawl::cpu {

namespace {

using dnnl::memory;

constexpr auto algorithm = dnnl::algorithm::convolution_direct;

/// A convolution in oneDNN's terms.
struct Geometry {
  memory::dims strides, dilation, before, after;

  explicit Geometry(const Conv2dParams& p)
      : strides{p.stride_h, p.stride_w},
        dilation{p.dilation_h - 1, p.dilation_w - 1},  // oneDNN counts the pixels left out
        before{p.pad_top, p.pad_left},
        after{p.pad_bottom, p.pad_right} {}
};

/// Weights (K,C/G,R,S), which oneDNN sees as (G,K/G,C/G,R,S) where there are groups.
memory::desc weights(const View& w, std::int64_t groups) {
  auto dims = onednn_dims(w.shape);
  if (groups > 1) {
    dims[0] /= groups;
    dims.insert(dims.begin(), groups);
  }
  return {dims, onednn_type(w.type), memory::format_tag::any};
}

memory::desc bias(const View& b) {
  return b.present() ? memory::desc(onednn_dims(b.shape), memory::data_type::f32, memory::format_tag::x)
                     : memory::desc();
}

/// Always as for training: for inference 2.6.3 prefers NHWC kernels that are up to 1.5 times slower (b1).
dnnl::convolution_forward::primitive_desc describe_forward(const Conv2dParams& params, Activation activation,
                                                           const View& x, const View& w, const View& b,
                                                           const View& y) {
  const Geometry g(params);
  return {{dnnl::prop_kind::forward_training, algorithm, any_placement(x), weights(w, params.groups), bias(b),
           any_placement(y), g.strides, g.dilation, g.before, g.after},
          attributes(activation),
          engine()};
}

/// Refuses what oneDNN does not do, or only by its reference loops.
template <class Describe>
auto describe(std::int64_t elements, int threads, Describe&& describe_call) {
  if (elements == 0) throw Refused("needs elements, got an empty operand");
  auto description = describe_primitive(threads, describe_call);
  if (std::string_view(description.impl_info_str()).starts_with("ref"))
    throw Refused("oneDNN has only its reference for it");
  return description;
}

// ------------------------------------------------------------------------------------- in the type of
// storage

Plan<Conv2dForward> plan_forward(Conv2dForward& call, const Selection& selection) {
  const auto description = describe(call.y.shape.count(), selection.threads, [&] {
    return describe_forward(call.params, call.activation, call.x, call.w, call.b, call.y);
  });
  place(call.x, description.src_desc());
  place(call.w, description.weights_desc());
  place(call.y, description.dst_desc());
  std::vector<Primitive::Operand> operands{{DNNL_ARG_SRC, description.src_desc()},
                                           {DNNL_ARG_WEIGHTS, description.weights_desc()},
                                           {DNNL_ARG_DST, description.dst_desc()}};
  if (call.b.present()) operands.push_back({DNNL_ARG_BIAS, description.bias_desc()});
  const auto primitive =
      make_primitive<dnnl::convolution_forward>(description, std::move(operands), selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive, threads = selection.threads](const Conv2dForward& c, Bytes workspace, Stream) {
            if (c.b.present())
              primitive->run({c.x.data, c.w.data, c.y.data, c.b.data}, workspace);
            else
              primitive->run({c.x.data, c.w.data, c.y.data}, workspace);
            zero_beyond(c.y, c.y_widths, threads);
          }};
}

Plan<Conv2dBackwardData> plan_backward_data(Conv2dBackwardData& call, const Selection& selection) {
  const auto description = describe(call.dx.shape.count(), selection.threads, [&] {
    const Geometry g(call.params);
    const auto forward = describe_forward(call.params, Activation::none, call.dx, call.w, View{}, call.dy);
    return dnnl::convolution_backward_data::primitive_desc(
        {algorithm, any_placement(call.dx), weights(call.w, call.params.groups), any_placement(call.dy),
         g.strides, g.dilation, g.before, g.after},
        attributes(), engine(), forward);
  });
  place(call.dx, description.diff_src_desc());
  place(call.w, description.weights_desc());
  place(call.dy, description.diff_dst_desc());
  const auto primitive =
      make_primitive<dnnl::convolution_backward_data>(description,
                                                      {{DNNL_ARG_DIFF_DST, description.diff_dst_desc()},
                                                       {DNNL_ARG_WEIGHTS, description.weights_desc()},
                                                       {DNNL_ARG_DIFF_SRC, description.diff_src_desc()}},
                                                      selection.threads);
  return {
      .workspace_bytes = primitive->workspace_bytes(),
      .run = [primitive, threads = selection.threads](const Conv2dBackwardData& c, Bytes workspace, Stream) {
        primitive->run({c.dy.data, c.w.data, c.dx.data}, workspace);
        zero_beyond(c.dx, c.x_widths, threads);
      }};
}

Plan<Conv2dBackwardWeight> plan_backward_weight(Conv2dBackwardWeight& call, const Selection& selection) {
  const auto description = describe(call.dy.shape.count(), selection.threads, [&] {
    const Geometry g(call.params);
    View w = call.dw;
    w.type = call.x.type;
    const auto forward = describe_forward(call.params, Activation::none, call.x, w, call.db, call.dy);
    return dnnl::convolution_backward_weights::primitive_desc(
        {algorithm, any_placement(call.x), weights(call.dw, call.params.groups), bias(call.db),
         any_placement(call.dy), g.strides, g.dilation, g.before, g.after},
        attributes(), engine(), forward);
  });
  place(call.x, description.src_desc());
  place(call.dw, description.diff_weights_desc());
  place(call.dy, description.diff_dst_desc());
  std::vector<Primitive::Operand> operands{{DNNL_ARG_SRC, description.src_desc()},
                                           {DNNL_ARG_DIFF_DST, description.diff_dst_desc()},
                                           {DNNL_ARG_DIFF_WEIGHTS, description.diff_weights_desc()}};
  if (call.db.present()) operands.push_back({DNNL_ARG_DIFF_BIAS, description.diff_bias_desc()});
  const auto primitive =
      make_primitive<dnnl::convolution_backward_weights>(description, std::move(operands), selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const Conv2dBackwardWeight& c, Bytes workspace, Stream) {
            if (c.db.present())
              primitive->run({c.x.data, c.dy.data, c.dw.data, c.db.data}, workspace);
            else
              primitive->run({c.x.data, c.dy.data, c.dw.data}, workspace);
          }};
}

}  // namespace

Plan<Conv2dForward> conv2d_forward_onednn(Conv2dForward& call, const Selection& selection) {
  if (computes_in(call.x.type)) return plan_forward(call, selection);
  return plan_widened(call, selection, plan_forward, {&Conv2dForward::x, &Conv2dForward::w},
                      {&Conv2dForward::y});
}

Plan<Conv2dBackwardData> conv2d_backward_data_onednn(Conv2dBackwardData& call, const Selection& selection) {
  if (computes_in(call.dy.type)) return plan_backward_data(call, selection);
  return plan_widened(call, selection, plan_backward_data, {&Conv2dBackwardData::dy, &Conv2dBackwardData::w},
                      {&Conv2dBackwardData::dx});
}

Plan<Conv2dBackwardWeight> conv2d_backward_weight_onednn(Conv2dBackwardWeight& call,
                                                         const Selection& selection) {
  if (computes_in(call.x.type)) return plan_backward_weight(call, selection);
  return plan_widened(call, selection, plan_backward_weight,
                      {&Conv2dBackwardWeight::x, &Conv2dBackwardWeight::dy}, {&Conv2dBackwardWeight::dw});
}

}  // namespace scrawl::cpu
