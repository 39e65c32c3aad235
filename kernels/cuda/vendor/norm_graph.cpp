#include "kernels/cuda/vendor/norm_graph.h"

#include "kernels/cuda/vendor/planning.h"

namespace scrawl::cuda {

namespace {

constexpr auto batch_norm = CUDNN_BATCH_NORM;
constexpr auto training = CUDNN_NORM_FWD_TRAINING;

void refuse_activation(Activation activation) {
  if (activation != Activation::none)
    throw Refused("cuDNN: needs no activation, got {}: its graphs fuse none with batch norm",
                  name_of(activation));
}

}  // namespace

Graph graph_of(const Cudnn& cudnn, BatchNormForward& c) {
  refuse_empty(c.x);
  refuse_widths("widths", c.widths);
  refuse_activation(c.activation);
  if (c.x.shape.count() == c.x.shape[1])
    throw Refused("cuDNN: needs more than one pixel, got {}", to_string(c.x));
  make_plain(c.x, Order::channels_last);
  make_plain(c.y, Order::channels_last);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& gamma = graph.channels(c.gamma);
  const auto& beta = graph.channels(c.beta);
  const auto& y = graph.operand(c.y);
  const auto& mean = graph.channels(c.mean);
  const auto& inverse_deviation = graph.channels(c.mean);
  const auto& variance = graph.channels(c.variance);
  const auto& mean_before = graph.channels(c.mean);
  const auto& variance_before = graph.channels(c.mean);
  const auto& mean_after = graph.channels(c.mean);
  const auto& epsilon = graph.scalar();
  const auto& factor = graph.scalar();
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, 1, &batch_norm)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, 1, &training)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, x)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, gamma)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, beta)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, epsilon)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, factor)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, mean_before)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, variance_before)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, mean_after)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, variance)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, mean)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, inverse_deviation)
                      .set(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, y)
                      .finalize("batch norm forward"));
  return graph;
}

Graph inverse_deviation_graph(const Cudnn& cudnn, const View& variance) {
  Graph graph(cudnn);
  const auto& given = graph.channels(variance);
  const auto& result = graph.channels(variance);
  const auto& epsilon = graph.scalar();
  const auto& sum = graph.channels_between(variance);
  graph.pointwise(CUDNN_POINTWISE_ADD, given, &epsilon, sum);
  graph.pointwise(CUDNN_POINTWISE_RSQRT, sum, nullptr, result);
  return graph;
}

Graph graph_of(const Cudnn& cudnn, BatchNormInference& c) {
  refuse_empty(c.x);
  refuse_widths("widths", c.widths);
  refuse_activation(c.activation);
  make_plain(c.x, Order::channels_last);
  make_plain(c.y, Order::channels_last);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& gamma = graph.channels(c.gamma);
  const auto& beta = graph.channels(c.beta);
  const auto& mean = graph.channels(c.mean);
  const auto& variance = graph.channels(c.variance);
  const auto& y = graph.operand(c.y);
  const auto& epsilon = graph.scalar();
  const auto& sum = graph.channels_between(c.variance);
  const auto& inverse_deviation = graph.channels_between(c.variance);
  graph.pointwise(CUDNN_POINTWISE_ADD, variance, &epsilon, sum);
  graph.pointwise(CUDNN_POINTWISE_RSQRT, sum, nullptr, inverse_deviation);
  const auto& centred = graph.between(c.x);
  const auto& normal = graph.between(c.x);
  const auto& scaled = graph.between(c.x);
  graph.pointwise(CUDNN_POINTWISE_SUB, x, &mean, centred);
  graph.pointwise(CUDNN_POINTWISE_MUL, centred, &inverse_deviation, normal);
  graph.pointwise(CUDNN_POINTWISE_MUL, normal, &gamma, scaled);
  graph.pointwise(CUDNN_POINTWISE_ADD, scaled, &beta, y);
  return graph;
}

Graph graph_of(const Cudnn& cudnn, BatchNormBackward& c) {
  refuse_empty(c.x);
  refuse_widths("widths", c.widths);
  refuse_activation(c.activation);
  make_plain(c.x, Order::channels_last);
  make_plain(c.dy, Order::channels_last);
  make_plain(c.dx, Order::channels_last);
  Graph graph(cudnn);
  const auto& x = graph.operand(c.x);
  const auto& dy = graph.operand(c.dy);
  const auto& gamma = graph.channels(c.gamma);
  const auto& mean = graph.channels(c.mean);
  const auto& inverse_deviation = graph.channels(c.variance);
  const auto& dx = graph.operand(c.dx);
  const auto& dgamma = graph.channels(c.dgamma);
  const auto& dbeta = graph.channels(c.dbeta);
  graph.operation(graph.add(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, 1, &batch_norm)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, x)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, mean)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, inverse_deviation)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, dy)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, gamma)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, dgamma)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, dbeta)
                      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, dx)
                      .finalize("batch norm backward"));
  return graph;
}

}  // namespace scrawl::cuda
