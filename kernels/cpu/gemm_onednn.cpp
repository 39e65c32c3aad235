#include "kernels/cpu/gemm_variants.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/widened.h"

namespace scrawl::cpu {

namespace {

using dnnl::memory;

/// Row-major (rows, columns), whatever the leading axes of a tensor are.
memory::desc matrix(const View& view) {
  const auto columns = view.shape[view.shape.rank - 1];
  return {
      {columns ? view.shape.count() / columns : 0, columns}, onednn_type(view.type), memory::format_tag::ab};
}

memory::desc vector(const View& view) {
  return view.present() ? memory::desc({view.shape[0]}, memory::data_type::f32, memory::format_tag::a)
                        : memory::desc();
}

void refuse_empty(const View& a, const View& b) {
  if (a.shape.count() == 0 || b.shape.count() == 0) throw Refused("needs elements, got an empty operand");
}

// ------------------------------------------------------------------------------------- in the type of
// storage

Plan<Gemm> plan_gemm(Gemm& call, const Selection& selection) {
  refuse_empty(call.a, call.b);
  for (View* view : {&call.a, &call.b, &call.y}) make_plain(*view, Order::row_major);
  const auto a = call.transpose_a == Transpose::yes ? matrix(call.a).permute_axes({1, 0}) : matrix(call.a);
  const auto b = call.transpose_b == Transpose::yes ? matrix(call.b).permute_axes({1, 0}) : matrix(call.b);
  const auto description = describe_primitive(selection.threads, [&] {
    return dnnl::matmul::primitive_desc({a, b, matrix(call.y)}, attributes(), engine());
  });
  const auto primitive = make_primitive<dnnl::matmul>(
      description, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, matrix(call.y)}},
      selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const Gemm& c, Bytes workspace, Stream) {
            primitive->run({c.a.data, c.b.data, c.y.data}, workspace);
          }};
}

dnnl::inner_product_forward::primitive_desc describe_forward(const memory::desc& x, const memory::desc& w,
                                                             const memory::desc& b, const memory::desc& y,
                                                             Activation activation) {
  return {{dnnl::prop_kind::forward_training, x, w, b, y}, attributes(activation), engine()};
}

/// In training the weights stay as they are: to reorder them every step costs more than the better kernel
/// gains.
Plan<DenseForward> plan_forward(DenseForward& call, const Selection& selection) {
  refuse_empty(call.y, call.w);
  make_plain(call.x, Order::row_major);
  make_plain(call.y, Order::row_major);
  make_plain(call.w, Order::row_major);
  const auto w = call.phase == KernelPhase::inference ? any_placement(call.w) : matrix(call.w);
  const auto description = describe_primitive(selection.threads, [&] {
    return describe_forward(matrix(call.x), w, vector(call.b), matrix(call.y), call.activation);
  });
  place(call.w, description.weights_desc());
  std::vector<Primitive::Operand> operands{{DNNL_ARG_SRC, description.src_desc()},
                                           {DNNL_ARG_WEIGHTS, description.weights_desc()},
                                           {DNNL_ARG_DST, description.dst_desc()}};
  if (call.b.present()) operands.push_back({DNNL_ARG_BIAS, description.bias_desc()});
  const auto primitive =
      make_primitive<dnnl::inner_product_forward>(description, std::move(operands), selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const DenseForward& c, Bytes workspace, Stream) {
            if (c.b.present())
              primitive->run({c.x.data, c.w.data, c.y.data, c.b.data}, workspace);
            else
              primitive->run({c.x.data, c.w.data, c.y.data}, workspace);
          }};
}

Plan<DenseBackwardData> plan_backward_data(DenseBackwardData& call, const Selection& selection) {
  refuse_empty(call.dx, call.w);
  for (View* view : {&call.dy, &call.w, &call.dx}) make_plain(*view, Order::row_major);
  const auto description = describe_primitive(selection.threads, [&] {
    const auto forward =
        describe_forward(matrix(call.dx), matrix(call.w), memory::desc(), matrix(call.dy), Activation::none);
    return dnnl::inner_product_backward_data::primitive_desc(
        {matrix(call.dx), matrix(call.w), matrix(call.dy)}, attributes(), engine(), forward);
  });
  const auto primitive =
      make_primitive<dnnl::inner_product_backward_data>(description,
                                                        {{DNNL_ARG_DIFF_DST, matrix(call.dy)},
                                                         {DNNL_ARG_WEIGHTS, matrix(call.w)},
                                                         {DNNL_ARG_DIFF_SRC, matrix(call.dx)}},
                                                        selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const DenseBackwardData& c, Bytes workspace, Stream) {
            primitive->run({c.dy.data, c.w.data, c.dx.data}, workspace);
          }};
}

Plan<DenseBackwardWeight> plan_backward_weight(DenseBackwardWeight& call, const Selection& selection) {
  refuse_empty(call.x, call.dy);
  for (View* view : {&call.x, &call.dy, &call.dw}) make_plain(*view, Order::row_major);
  const auto description = describe_primitive(selection.threads, [&] {
    View w = call.dw;
    w.type = call.x.type;
    const auto forward =
        describe_forward(matrix(call.x), matrix(w), vector(call.db), matrix(call.dy), Activation::none);
    return dnnl::inner_product_backward_weights::primitive_desc(
        {matrix(call.x), matrix(call.dw), vector(call.db), matrix(call.dy)}, attributes(), engine(), forward);
  });
  std::vector<Primitive::Operand> operands{{DNNL_ARG_SRC, matrix(call.x)},
                                           {DNNL_ARG_DIFF_DST, matrix(call.dy)},
                                           {DNNL_ARG_DIFF_WEIGHTS, matrix(call.dw)}};
  if (call.db.present()) operands.push_back({DNNL_ARG_DIFF_BIAS, vector(call.db)});
  const auto primitive = make_primitive<dnnl::inner_product_backward_weights>(
      description, std::move(operands), selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const DenseBackwardWeight& c, Bytes workspace, Stream) {
            if (c.db.present())
              primitive->run({c.x.data, c.dy.data, c.dw.data, c.db.data}, workspace);
            else
              primitive->run({c.x.data, c.dy.data, c.dw.data}, workspace);
          }};
}

}  // namespace

Plan<Gemm> gemm_onednn(Gemm& call, const Selection& selection) {
  if (computes_in(call.a.type)) return plan_gemm(call, selection);
  return plan_widened(call, selection, plan_gemm, {&Gemm::a, &Gemm::b}, {&Gemm::y});
}

Plan<DenseForward> dense_forward_onednn(DenseForward& call, const Selection& selection) {
  if (computes_in(call.x.type)) return plan_forward(call, selection);
  return plan_widened(call, selection, plan_forward, {&DenseForward::x, &DenseForward::w},
                      {&DenseForward::y});
}

Plan<DenseBackwardData> dense_backward_data_onednn(DenseBackwardData& call, const Selection& selection) {
  if (computes_in(call.dy.type)) return plan_backward_data(call, selection);
  return plan_widened(call, selection, plan_backward_data, {&DenseBackwardData::dy, &DenseBackwardData::w},
                      {&DenseBackwardData::dx});
}

Plan<DenseBackwardWeight> dense_backward_weight_onednn(DenseBackwardWeight& call,
                                                       const Selection& selection) {
  if (computes_in(call.x.type)) return plan_backward_weight(call, selection);
  return plan_widened(call, selection, plan_backward_weight,
                      {&DenseBackwardWeight::x, &DenseBackwardWeight::dy}, {&DenseBackwardWeight::dw});
}

}  // namespace scrawl::cpu
