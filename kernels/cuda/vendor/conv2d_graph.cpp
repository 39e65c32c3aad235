#include "kernels/cuda/vendor/conv2d_graph.h"

#include "kernels/cuda/vendor/planning.h"

namespace scrawl::cuda {

namespace {

/// Asks for NHWC, and KRSC for weights: what cuDNN's tensor core kernels are made for.
template <class... Views>
void make_channels_last(Views&... views) {
  (make_plain(views, Order::channels_last), ...);
}

const Descriptor& window(Graph& graph, const Conv2dParams& p) {
  constexpr auto mode = CUDNN_CROSS_CORRELATION;
  using Pair = std::array<std::int64_t, 2>;
  return graph.add(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Pair{p.dilation_h, p.dilation_w})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Pair{p.stride_h, p.stride_w})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Pair{p.pad_top, p.pad_left})
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Pair{p.pad_bottom, p.pad_right})
      .finalize("a convolution");
}

cudnnPointwiseMode_t mode_of(Activation activation) {
  switch (activation) {
    case Activation::sigmoid:
      return CUDNN_POINTWISE_SIGMOID_FWD;
    case Activation::tanh:
      return CUDNN_POINTWISE_TANH_FWD;
    default:
      return CUDNN_POINTWISE_RELU_FWD;
  }
}

/// The result is alpha times the convolution, plus beta times what was there.
constexpr float alpha = 1, beta = 0;

void convolve(Graph& graph, const Conv2dParams& p, const Descriptor& x, const Descriptor& w,
              const Descriptor& y) {
  const auto& params = window(graph, p);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, params)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta)
                      .finalize("a convolution forward"));
}

}  // namespace

Graph graph_of(const Cudnn& cudnn, Conv2dForward& c) {
  refuse_empty(c.y);
  refuse_widths("y_widths", c.y_widths);
  make_channels_last(c.x, c.w, c.y);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& w = graph.operand(c.w);
  const auto& y = graph.operand(c.y);
  const bool is_activated = c.activation != Activation::none;
  const auto& product = c.b.present() || is_activated ? graph.between(c.y) : y;
  convolve(graph, c.params, x, w, product);
  const auto* sum = &product;
  if (c.b.present()) {
    sum = is_activated ? &graph.between(c.y) : &y;
    graph.pointwise(CUDNN_POINTWISE_ADD, product, &graph.channels(c.b), *sum);
  }
  if (is_activated) graph.pointwise(mode_of(c.activation), *sum, nullptr, y);
  return graph;
}

Graph graph_of(const Cudnn& cudnn, Conv2dMomentsForward& c) {
  refuse_empty(c.y);
  refuse_widths("y_widths", c.y_widths);
  if (c.b.present()) throw Refused("cuDNN: needs sums of the convolution alone, without b");
  make_channels_last(c.x, c.w, c.y);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& w = graph.operand(c.w);
  const auto& y = graph.operand(c.y);
  const auto& sums = graph.channels(c.mean);
  const auto& squares = graph.channels(c.variance);
  convolve(graph, c.params, x, w, y);
  constexpr auto mode = CUDNN_GENSTATS_SUM_SQSUM;
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode)
                      .set(CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_DATA_FLOAT)
                      .set(CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y)
                      .set(CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sums)
                      .set(CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares)
                      .finalize("sums of a convolution"));
  return graph;
}

Graph graph_of(const Cudnn& cudnn, Conv2dBackwardData& c) {
  refuse_empty(c.dx);
  refuse_empty(c.dy);
  refuse_widths("x_widths", c.x_widths);
  make_channels_last(c.dy, c.w, c.dx);
  Graph graph(cudnn);
  const auto& dy = graph.operand(c.dy);
  const auto& w = graph.operand(c.w);
  const auto& dx = graph.operand(c.dx);
  const auto& params = window(graph, c.params);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, params)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &beta)
                      .finalize("a convolution backward for data"));
  return graph;
}

Graph graph_of(const Cudnn& cudnn, Conv2dBackwardWeight& c) {
  refuse_empty(c.dw);
  refuse_empty(c.dy);
  make_channels_last(c.x, c.dy, c.dw);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& dy = graph.operand(c.dy);
  const auto& dw = graph.operand(c.dw);
  // Engines of this operation alone write the type that they read; those that fuse write what is asked.
  const bool is_widened = c.dw.type != c.x.type;
  const auto& product = is_widened ? graph.between(c.dw) : dw;
  const auto& params = window(graph, c.params);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, product)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, params)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha)
                      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, &beta)
                      .finalize("a convolution backward for weights"));
  if (is_widened) graph.pointwise(CUDNN_POINTWISE_IDENTITY, product, nullptr, dw);
  return graph;
}

std::vector<void*> operands_of(const Conv2dForward& c) {
  std::vector<void*> operands{c.x.data, c.w.data, c.y.data};
  if (c.b.present()) operands.push_back(c.b.data);
  return operands;
}
std::vector<void*> operands_of(const Conv2dMomentsForward& c) {
  return {c.x.data, c.w.data, c.y.data, c.mean.data, c.variance.data};
}
std::vector<void*> operands_of(const Conv2dBackwardData& c) { return {c.dy.data, c.w.data, c.dx.data}; }
std::vector<void*> operands_of(const Conv2dBackwardWeight& c) { return {c.x.data, c.dy.data, c.dw.data}; }

EngineLimits limits_of(DType type, const Selection& selection) {
  const bool is_exact = type == DType::f32 && selection.f32_products == F32Products::exact;
  return {.tensor_cores =
              is_exact ? EngineLimits::TensorCores::left_out : EngineLimits::TensorCores::allowed};
}

}  // namespace scrawl::cuda
