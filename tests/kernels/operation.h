#pragma once
/// What the harness knows of each kind of call: its name, its place in a backend's table, its operands.

#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace scrawl::test {

enum class Role : std::uint8_t { input, output, update };  ///< update: read and written in place

template <class Call>
struct Operand {
  std::string_view name;
  Role role;
  View Call::*one = nullptr;
  std::vector<View> Call::*many = nullptr;
  std::string_view in_place_of = {};  ///< the input whose memory an output may take
};

template <class Call>
struct Operation {
  std::string_view name;
  Planner<Call> Backend::*planner;
  std::vector<Operand<Call>> operands;
};

/// Specialised for every call below.
template <class Call>
struct NotListed : std::false_type {};
template <class Call>
inline const Operation<Call> operation = [] {
  static_assert(NotListed<Call>::value,
                "a call's name, planner and operands must stand in tests/kernels/operation.h");
  return Operation<Call>{};
}();

/// Calls f(name, view, operand) for every operand that is present; members of lists are "w.0", "w.1", ...
template <class Call, class F>
void each_operand(Call& call, F&& f) {
  for (const auto& operand : operation<Call>.operands) {
    if (operand.one && (call.*operand.one).present())
      f(std::string(operand.name), call.*operand.one, operand);
    if (operand.many)
      for (std::size_t i = 0; i < (call.*operand.many).size(); ++i)
        f(fmt::format("{}.{}", operand.name, i), (call.*operand.many)[i], operand);
  }
}

template <>
inline const Operation<ActivationForward> operation<ActivationForward>{
    "activation_forward",
    &Backend::activation_forward,
    {{"x", Role::input, &ActivationForward::x}, {"y", Role::output, &ActivationForward::y, nullptr, "x"}}};

template <>
inline const Operation<ActivationBackward> operation<ActivationBackward>{
    "activation_backward",
    &Backend::activation_backward,
    {{"y", Role::input, &ActivationBackward::y},
     {"dy", Role::input, &ActivationBackward::dy},
     {"dx", Role::output, &ActivationBackward::dx, nullptr, "dy"}}};

template <>
inline const Operation<Conv2dForward> operation<Conv2dForward>{
    "conv2d_forward",
    &Backend::conv2d_forward,
    {{"x", Role::input, &Conv2dForward::x},
     {"w", Role::input, &Conv2dForward::w},
     {"b", Role::input, &Conv2dForward::b},
     {"y_widths", Role::input, &Conv2dForward::y_widths},
     {"y", Role::output, &Conv2dForward::y}}};

template <>
inline const Operation<Conv2dPoolForward> operation<Conv2dPoolForward>{
    "conv2d_pool_forward",
    &Backend::conv2d_pool_forward,
    {{"x", Role::input, &Conv2dPoolForward::x},
     {"w", Role::input, &Conv2dPoolForward::w},
     {"b", Role::input, &Conv2dPoolForward::b},
     {"convolved_widths", Role::input, &Conv2dPoolForward::convolved_widths},
     {"y_widths", Role::input, &Conv2dPoolForward::y_widths},
     {"y", Role::output, &Conv2dPoolForward::y},
     {"argmax", Role::output, &Conv2dPoolForward::argmax}}};

template <>
inline const Operation<Conv2dMomentsForward> operation<Conv2dMomentsForward>{
    "conv2d_moments_forward",
    &Backend::conv2d_moments_forward,
    {{"x", Role::input, &Conv2dMomentsForward::x},
     {"w", Role::input, &Conv2dMomentsForward::w},
     {"b", Role::input, &Conv2dMomentsForward::b},
     {"y_widths", Role::input, &Conv2dMomentsForward::y_widths},
     {"y", Role::output, &Conv2dMomentsForward::y},
     {"mean", Role::output, &Conv2dMomentsForward::mean},
     {"variance", Role::output, &Conv2dMomentsForward::variance}}};

template <>
inline const Operation<Conv2dBackwardData> operation<Conv2dBackwardData>{
    "conv2d_backward_data",
    &Backend::conv2d_backward_data,
    {{"dy", Role::input, &Conv2dBackwardData::dy},
     {"w", Role::input, &Conv2dBackwardData::w},
     {"x_widths", Role::input, &Conv2dBackwardData::x_widths},
     {"dx", Role::output, &Conv2dBackwardData::dx}}};

template <>
inline const Operation<Conv2dBackwardWeight> operation<Conv2dBackwardWeight>{
    "conv2d_backward_weight",
    &Backend::conv2d_backward_weight,
    {{"x", Role::input, &Conv2dBackwardWeight::x},
     {"dy", Role::input, &Conv2dBackwardWeight::dy},
     {"dw", Role::output, &Conv2dBackwardWeight::dw},
     {"db", Role::output, &Conv2dBackwardWeight::db}}};

template <>
inline const Operation<Gemm> operation<Gemm>{
    "gemm",
    &Backend::gemm,
    {{"a", Role::input, &Gemm::a}, {"b", Role::input, &Gemm::b}, {"y", Role::output, &Gemm::y}}};

template <>
inline const Operation<DenseForward> operation<DenseForward>{"dense_forward",
                                                             &Backend::dense_forward,
                                                             {{"x", Role::input, &DenseForward::x},
                                                              {"w", Role::input, &DenseForward::w},
                                                              {"b", Role::input, &DenseForward::b},
                                                              {"y", Role::output, &DenseForward::y}}};

template <>
inline const Operation<DenseBackwardData> operation<DenseBackwardData>{
    "dense_backward_data",
    &Backend::dense_backward_data,
    {{"dy", Role::input, &DenseBackwardData::dy},
     {"w", Role::input, &DenseBackwardData::w},
     {"dx", Role::output, &DenseBackwardData::dx}}};

template <>
inline const Operation<DenseBackwardWeight> operation<DenseBackwardWeight>{
    "dense_backward_weight",
    &Backend::dense_backward_weight,
    {{"x", Role::input, &DenseBackwardWeight::x},
     {"dy", Role::input, &DenseBackwardWeight::dy},
     {"dw", Role::output, &DenseBackwardWeight::dw},
     {"db", Role::output, &DenseBackwardWeight::db}}};

template <>
inline const Operation<PoolForward> operation<PoolForward>{"pool_forward",
                                                           &Backend::pool_forward,
                                                           {{"x", Role::input, &PoolForward::x},
                                                            {"x_widths", Role::input, &PoolForward::x_widths},
                                                            {"y_widths", Role::input, &PoolForward::y_widths},
                                                            {"y", Role::output, &PoolForward::y},
                                                            {"argmax", Role::output, &PoolForward::argmax}}};

template <>
inline const Operation<PoolBackward> operation<PoolBackward>{
    "pool_backward",
    &Backend::pool_backward,
    {{"dy", Role::input, &PoolBackward::dy},
     {"argmax", Role::input, &PoolBackward::argmax},
     {"x_widths", Role::input, &PoolBackward::x_widths},
     {"y_widths", Role::input, &PoolBackward::y_widths},
     {"dx", Role::output, &PoolBackward::dx}}};

template <>
inline const Operation<WindowWidths> operation<WindowWidths>{
    "window_widths",
    &Backend::window_widths,
    {{"widths", Role::input, &WindowWidths::widths}, {"out", Role::output, &WindowWidths::out}}};

template <>
inline const Operation<BatchNormForward> operation<BatchNormForward>{
    "batch_norm_forward",
    &Backend::batch_norm_forward,
    {{"x", Role::input, &BatchNormForward::x},
     {"gamma", Role::input, &BatchNormForward::gamma},
     {"beta", Role::input, &BatchNormForward::beta},
     {"widths", Role::input, &BatchNormForward::widths},
     {"y", Role::output, &BatchNormForward::y},
     {"mean", Role::output, &BatchNormForward::mean},
     {"variance", Role::output, &BatchNormForward::variance}}};

template <>
inline const Operation<BatchNormInference> operation<BatchNormInference>{
    "batch_norm_inference",
    &Backend::batch_norm_inference,
    {{"x", Role::input, &BatchNormInference::x},
     {"gamma", Role::input, &BatchNormInference::gamma},
     {"beta", Role::input, &BatchNormInference::beta},
     {"mean", Role::input, &BatchNormInference::mean},
     {"variance", Role::input, &BatchNormInference::variance},
     {"widths", Role::input, &BatchNormInference::widths},
     {"y", Role::output, &BatchNormInference::y, nullptr, "x"}}};

template <>
inline const Operation<BatchNormBackward> operation<BatchNormBackward>{
    "batch_norm_backward",
    &Backend::batch_norm_backward,
    {{"x", Role::input, &BatchNormBackward::x},
     {"dy", Role::input, &BatchNormBackward::dy},
     {"gamma", Role::input, &BatchNormBackward::gamma},
     {"beta", Role::input, &BatchNormBackward::beta},
     {"mean", Role::input, &BatchNormBackward::mean},
     {"variance", Role::input, &BatchNormBackward::variance},
     {"widths", Role::input, &BatchNormBackward::widths},
     {"dx", Role::output, &BatchNormBackward::dx, nullptr, "dy"},
     {"dgamma", Role::output, &BatchNormBackward::dgamma},
     {"dbeta", Role::output, &BatchNormBackward::dbeta}}};

template <>
inline const Operation<BatchNormPoolForward> operation<BatchNormPoolForward>{
    "batch_norm_pool_forward",
    &Backend::batch_norm_pool_forward,
    {{"x", Role::input, &BatchNormPoolForward::x},
     {"gamma", Role::input, &BatchNormPoolForward::gamma},
     {"beta", Role::input, &BatchNormPoolForward::beta},
     {"x_widths", Role::input, &BatchNormPoolForward::x_widths},
     {"y_widths", Role::input, &BatchNormPoolForward::y_widths},
     {"y", Role::output, &BatchNormPoolForward::y},
     {"argmax", Role::output, &BatchNormPoolForward::argmax},
     {"mean", Role::output, &BatchNormPoolForward::mean},
     {"variance", Role::output, &BatchNormPoolForward::variance}}};

template <>
inline const Operation<BatchNormPoolApply> operation<BatchNormPoolApply>{
    "batch_norm_pool_apply",
    &Backend::batch_norm_pool_apply,
    {{"x", Role::input, &BatchNormPoolApply::x},
     {"gamma", Role::input, &BatchNormPoolApply::gamma},
     {"beta", Role::input, &BatchNormPoolApply::beta},
     {"mean", Role::input, &BatchNormPoolApply::mean},
     {"variance", Role::input, &BatchNormPoolApply::variance},
     {"x_widths", Role::input, &BatchNormPoolApply::x_widths},
     {"y_widths", Role::input, &BatchNormPoolApply::y_widths},
     {"y", Role::output, &BatchNormPoolApply::y},
     {"argmax", Role::output, &BatchNormPoolApply::argmax}}};

template <>
inline const Operation<BatchNormPoolBackward> operation<BatchNormPoolBackward>{
    "batch_norm_pool_backward",
    &Backend::batch_norm_pool_backward,
    {{"x", Role::input, &BatchNormPoolBackward::x},
     {"y", Role::input, &BatchNormPoolBackward::y},
     {"dy", Role::input, &BatchNormPoolBackward::dy},
     {"argmax", Role::input, &BatchNormPoolBackward::argmax},
     {"gamma", Role::input, &BatchNormPoolBackward::gamma},
     {"mean", Role::input, &BatchNormPoolBackward::mean},
     {"variance", Role::input, &BatchNormPoolBackward::variance},
     {"x_widths", Role::input, &BatchNormPoolBackward::x_widths},
     {"y_widths", Role::input, &BatchNormPoolBackward::y_widths},
     {"dx", Role::output, &BatchNormPoolBackward::dx},
     {"dgamma", Role::output, &BatchNormPoolBackward::dgamma},
     {"dbeta", Role::output, &BatchNormPoolBackward::dbeta}}};

template <>
inline const Operation<RunningUpdate> operation<RunningUpdate>{
    "running_update",
    &Backend::running_update,
    {{"value", Role::input, &RunningUpdate::value},
     {"widths", Role::input, &RunningUpdate::widths},
     {"control", Role::input, &RunningUpdate::control},
     {"running", Role::update, &RunningUpdate::running}}};

template <>
inline const Operation<FoldBatchNorm> operation<FoldBatchNorm>{
    "fold_batch_norm",
    &Backend::fold_batch_norm,
    {{"w", Role::input, &FoldBatchNorm::w},
     {"b", Role::input, &FoldBatchNorm::b},
     {"gamma", Role::input, &FoldBatchNorm::gamma},
     {"beta", Role::input, &FoldBatchNorm::beta},
     {"mean", Role::input, &FoldBatchNorm::mean},
     {"variance", Role::input, &FoldBatchNorm::variance},
     {"folded_w", Role::output, &FoldBatchNorm::folded_w},
     {"folded_b", Role::output, &FoldBatchNorm::folded_b}}};

template <>
inline const Operation<LstmForward> operation<LstmForward>{
    "lstm_forward",
    &Backend::lstm_forward,
    {{"x", Role::input, &LstmForward::x},
     {"lengths", Role::input, &LstmForward::lengths},
     {"h0", Role::input, &LstmForward::h0},
     {"c0", Role::input, &LstmForward::c0},
     {"w_ih", Role::input, &LstmForward::w_ih},
     {"w_hh", Role::input, &LstmForward::w_hh},
     {"b", Role::input, &LstmForward::b},
     {"y", Role::output, &LstmForward::y},
     {"hn", Role::output, &LstmForward::hn},
     {"cn", Role::output, &LstmForward::cn},
     {"reserve", Role::output, &LstmForward::reserve}}};

template <>
inline const Operation<LstmBackward> operation<LstmBackward>{
    "lstm_backward",
    &Backend::lstm_backward,
    {{"x", Role::input, &LstmBackward::x},
     {"lengths", Role::input, &LstmBackward::lengths},
     {"h0", Role::input, &LstmBackward::h0},
     {"c0", Role::input, &LstmBackward::c0},
     {"w_ih", Role::input, &LstmBackward::w_ih},
     {"w_hh", Role::input, &LstmBackward::w_hh},
     {"b", Role::input, &LstmBackward::b},
     {"y", Role::input, &LstmBackward::y},
     {"reserve", Role::input, &LstmBackward::reserve},
     {"dy", Role::input, &LstmBackward::dy},
     {"dhn", Role::input, &LstmBackward::dhn},
     {"dcn", Role::input, &LstmBackward::dcn},
     {"dx", Role::output, &LstmBackward::dx},
     {"dh0", Role::output, &LstmBackward::dh0},
     {"dc0", Role::output, &LstmBackward::dc0},
     {"dw_ih", Role::output, &LstmBackward::dw_ih},
     {"dw_hh", Role::output, &LstmBackward::dw_hh},
     {"db", Role::output, &LstmBackward::db}}};

template <>
inline const Operation<SoftmaxForward> operation<SoftmaxForward>{
    "softmax_forward",
    &Backend::softmax_forward,
    {{"x", Role::input, &SoftmaxForward::x}, {"y", Role::output, &SoftmaxForward::y, nullptr, "x"}}};

template <>
inline const Operation<SoftmaxBackward> operation<SoftmaxBackward>{
    "softmax_backward",
    &Backend::softmax_backward,
    {{"y", Role::input, &SoftmaxBackward::y},
     {"dy", Role::input, &SoftmaxBackward::dy},
     {"dx", Role::output, &SoftmaxBackward::dx, nullptr, "dy"}}};

template <>
inline const Operation<CrossEntropy> operation<CrossEntropy>{
    "cross_entropy",
    &Backend::cross_entropy,
    {{"x", Role::input, &CrossEntropy::x},
     {"adjustment", Role::input, &CrossEntropy::adjustment},
     {"targets", Role::input, &CrossEntropy::targets},
     {"loss", Role::output, &CrossEntropy::loss},
     {"d_x", Role::output, &CrossEntropy::d_x}}};

template <>
inline const Operation<ScaleRows> operation<ScaleRows>{"scale_rows",
                                                       &Backend::scale_rows,
                                                       {{"x", Role::input, &ScaleRows::x},
                                                        {"scale", Role::input, &ScaleRows::scale},
                                                        {"y", Role::output, &ScaleRows::y}}};

template <>
inline const Operation<MeanForward> operation<MeanForward>{
    "mean_forward",
    &Backend::mean_forward,
    {{"x", Role::input, &MeanForward::x}, {"y", Role::output, &MeanForward::y}}};

template <>
inline const Operation<MeanBackward> operation<MeanBackward>{
    "mean_backward",
    &Backend::mean_backward,
    {{"dy", Role::input, &MeanBackward::dy},
     {"control", Role::input, &MeanBackward::control},
     {"dx", Role::output, &MeanBackward::dx}}};

template <>
inline const Operation<CtcLoss> operation<CtcLoss>{"ctc_loss",
                                                   &Backend::ctc_loss,
                                                   {{"x", Role::input, &CtcLoss::x},
                                                    {"labels", Role::input, &CtcLoss::labels},
                                                    {"label_lengths", Role::input, &CtcLoss::label_lengths},
                                                    {"input_lengths", Role::input, &CtcLoss::input_lengths},
                                                    {"loss", Role::output, &CtcLoss::loss},
                                                    {"d_x", Role::output, &CtcLoss::d_x}}};

template <>
inline const Operation<Copy> operation<Copy>{
    "copy", &Backend::copy, {{"x", Role::input, &Copy::x}, {"y", Role::output, &Copy::y}}};

template <>
inline const Operation<Add> operation<Add>{
    "add",
    &Backend::add,
    {{"a", Role::input, &Add::a}, {"b", Role::input, &Add::b}, {"y", Role::output, &Add::y, nullptr, "a"}}};

template <>
inline const Operation<Dropout> operation<Dropout>{"dropout",
                                                   &Backend::dropout,
                                                   {{"x", Role::input, &Dropout::x},
                                                    {"counters", Role::input, &Dropout::counters},
                                                    {"y", Role::output, &Dropout::y}}};

template <>
inline const Operation<ImageToSequence> operation<ImageToSequence>{
    "image_to_sequence",
    &Backend::image_to_sequence,
    {{"x", Role::input, &ImageToSequence::x}, {"y", Role::output, &ImageToSequence::y}}};

template <>
inline const Operation<SequenceToImage> operation<SequenceToImage>{
    "sequence_to_image",
    &Backend::sequence_to_image,
    {{"x", Role::input, &SequenceToImage::x}, {"y", Role::output, &SequenceToImage::y}}};

template <>
inline const Operation<Flatten> operation<Flatten>{
    "flatten", &Backend::flatten, {{"x", Role::input, &Flatten::x}, {"y", Role::output, &Flatten::y}}};

template <>
inline const Operation<Unflatten> operation<Unflatten>{
    "unflatten",
    &Backend::unflatten,
    {{"x", Role::input, &Unflatten::x}, {"y", Role::output, &Unflatten::y}}};

template <>
inline const Operation<GradientNorm> operation<GradientNorm>{
    "gradient_norm",
    &Backend::gradient_norm,
    {{"g", Role::input, nullptr, &GradientNorm::g},
     {"loss", Role::input, &GradientNorm::loss},
     {"control", Role::update, &GradientNorm::control}}};

template <>
inline const Operation<OptimizerStep> operation<OptimizerStep>{
    "optimizer_step",
    &Backend::optimizer_step,
    {{"g", Role::input, nullptr, &OptimizerStep::g},
     {"control", Role::input, &OptimizerStep::control},
     {"w", Role::update, nullptr, &OptimizerStep::w},
     {"m", Role::update, nullptr, &OptimizerStep::m},
     {"v", Role::update, nullptr, &OptimizerStep::v}}};

template <>
inline const Operation<StepEnd> operation<StepEnd>{
    "step_end", &Backend::step_end, {{"control", Role::update, &StepEnd::control}}};

}  // namespace scrawl::test
