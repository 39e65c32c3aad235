#include "kernels/cuda/vendor/pool_graph.h"

#include "kernels/cuda/vendor/planning.h"

namespace scrawl::cuda {

namespace {

const Descriptor& window(Graph& graph, const PoolParams& p) {
  using Pair = std::array<std::int64_t, 2>;
  const bool is_max = p.kind == PoolKind::max;
  const auto mode = is_max ? CUDNN_RESAMPLE_MAXPOOL : CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING;
  const auto padding = is_max ? CUDNN_NEG_INF_PAD : CUDNN_ZERO_PAD;
  constexpr auto nan = CUDNN_PROPAGATE_NAN;
  return graph.add(CUDNN_BACKEND_RESAMPLE_DESCRIPTOR)
      .set(CUDNN_ATTR_RESAMPLE_MODE, CUDNN_TYPE_RESAMPLE_MODE, 1, &mode)
      .set(CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan)
      .set(CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_TYPE_PADDING_MODE, 1, &padding)
      .set(CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, std::int64_t{2})
      .set(CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, Pair{p.window_h, p.window_w})
      .set(CUDNN_ATTR_RESAMPLE_STRIDES, Pair{p.stride_h, p.stride_w})
      .set(CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, Pair{p.pad_h, p.pad_w})
      .set(CUDNN_ATTR_RESAMPLE_POST_PADDINGS, Pair{p.pad_h, p.pad_w})
      .finalize("a window");
}

}  // namespace

Graph graph_of(const Cudnn& cudnn, PoolForward& c) {
  refuse_empty(c.y);
  refuse_widths("x_widths", c.x_widths);
  refuse_widths("y_widths", c.y_widths);
  if (c.argmax.present()) throw Refused("cuDNN: needs no argmax: it does not say what its own indices mean");
  make_plain(c.x, Order::channels_last);
  make_plain(c.y, Order::channels_last);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& y = graph.operand(c.y);
  const auto& params = window(graph, c.params);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, x)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, y)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC, params)
                      .finalize("pooling forward"));
  return graph;
}

Graph graph_of(const Cudnn& cudnn, PoolBackward& c) {
  refuse_empty(c.dy);
  refuse_widths("x_widths", c.x_widths);
  refuse_widths("y_widths", c.y_widths);
  if (c.params.kind == PoolKind::max)
    throw Refused("cuDNN: needs averages: it does not take an argmax that others wrote");
  make_plain(c.dy, Order::channels_last);
  make_plain(c.dx, Order::channels_last);
  Graph graph(cudnn);
  const auto& dy = graph.operand(c.dy);
  const auto& dx = graph.operand(c.dx);
  const auto& params = window(graph, c.params);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, dy)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC, dx)
                      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC, params)
                      .finalize("pooling backward"));
  return graph;
}

}  // namespace scrawl::cuda
