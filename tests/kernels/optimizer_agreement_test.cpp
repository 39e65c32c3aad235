#include "kernels/optimizer.h"

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Optimizer = EveryBackend;

constexpr double u = 0x1p-24;

/// Tensors of many sizes: one element, beside vectors, larger than a thread's share.
const std::vector<Shape> parameters{{1}, {16}, {17, 3, 3, 3}, {255}, {64, 65}, {0}, {4, 48, 16}, {9001}};

std::vector<View> tensors() {
  std::vector<View> views;
  for (const Shape& shape : parameters) views.push_back(described(DType::f32, shape));
  return views;
}

Tensor control(std::initializer_list<std::pair<Control::Slot, double>> slots) {
  Tensor values(Shape{Control::count});
  values(Control::loss_scale) = values(Control::gradient_scale) = 1;
  for (const auto& [slot, value] : slots) values(slot) = value;
  return values;
}

/// Second moments are squares.
Values with_squares(std::string_view of, std::vector<Bound> operands, Values given) {
  Values values = complete(of, operands, std::move(given));
  for (auto& [name, tensor] : values)
    if (name.starts_with("v."))
      for (double& value : tensor.values()) value *= value;
  return values;
}

TEST_P(Optimizer, steps_agree_with_the_reference) {
  for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adam, OptimizerKind::adamw})
    for (const auto nesterov : {OptimizerStep::Nesterov::no, OptimizerStep::Nesterov::yes})
      for (const float penalty : {0.0f, 0.01f})
        for (const int step : {0, 1, 1000})
          for (const int skip : {0, 1}) {
            if (nesterov == OptimizerStep::Nesterov::yes && kind != OptimizerKind::sgd) continue;
            OptimizerStep call{.kind = kind,
                               .nesterov = nesterov,
                               .l1 = penalty,
                               .l2 = 2 * penalty,
                               .weight_decay = 3 * penalty};
            call.w = call.g = call.m = tensors();
            if (kind != OptimizerKind::sgd) call.v = tensors();
            for (std::size_t i = 0; i < call.w.size(); ++i)
              call.decay.push_back(static_cast<float>(i % 3) / 2);
            call.control = described(DType::f32, {Control::count});
            const auto of = fmt::format("optimizer_step[{}{},penalty={},step={}{}]",
                                        kind == OptimizerKind::sgd    ? "sgd"
                                        : kind == OptimizerKind::adam ? "adam"
                                                                      : "adamw",
                                        nesterov == OptimizerStep::Nesterov::yes ? ",nesterov" : "", penalty,
                                        step, skip ? ",skip" : "");
            const Values values = with_squares(of, bound(call),
                                               {{"control", control({{Control::step, step},
                                                                     {Control::learning_rate, 0.01},
                                                                     {Control::gradient_scale, 0.25},
                                                                     {Control::skip, skip}})}});
            expect_agreement(of, call, values, [&](const Values& given, const Values& expected) {
              Tolerances tolerances;
              if (skip) return tolerances;  // nothing may move
              for (const auto& [name, tensor] : expected)
                tolerances[name] = {.ulps = 8, .absolute = everywhere(8 * u)};
              // 1 - beta2^t loses digits in f32 when t is small: m and v do not, w does.
              for (const auto& [name, tensor] : given)
                if (name.starts_with("w.")) tolerances[name].absolute = everywhere(64 * u);
              return tolerances;
            });
          }
}

TEST_P(Optimizer, gradient_norm_agrees_with_the_reference) {
  for (const float clip : {0.0f, 0.5f, 1e6f})
    for (const double scale : {1.0, 65536.0}) {
      GradientNorm call{.clip = clip, .g = tensors(), .control = described(DType::f32, {Control::count})};
      expect_agreement(fmt::format("gradient_norm[clip={},scale={}]", clip, scale), call,
                       {{"control", control({{Control::loss_scale, scale}, {Control::loss, 3}})}},
                       [](const Values&, const Values&) -> Tolerances {
                         return {{"control", {.ulps = 4}}};
                       });
    }
}

TEST_P(Optimizer, gradients_or_a_loss_that_are_not_finite_skip_the_step) {
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (const double value : bad) {
    GradientNorm call{.clip = 1, .g = tensors(), .control = described(DType::f32, {Control::count})};
    const auto of = fmt::format("gradient_norm[{}]", value);
    Values values = complete(of, bound(call), {{"control", control({{Control::loss, 1}})}});
    values.at("g.7").values()[8999] = value;
    expect_agreement(of + ".gradient", call, values);
    call.loss = described(DType::f32, {1});
    values = complete(of, bound(call), {{"loss", Tensor(Shape{1}, value)}, {"control", control({})}});
    expect_agreement(of + ".loss", call, values, [](const Values&, const Values&) -> Tolerances {
      return {{"control", {.ulps = 4}}};
    });
  }
}

TEST_P(Optimizer, the_norm_of_tiny_and_of_huge_gradients_is_right) {
  for (const double size : {1e-25, 1e18}) {  // whose squares leave f32
    GradientNorm call{.clip = 1, .g = tensors(), .control = described(DType::f32, {Control::count})};
    const auto of = fmt::format("gradient_norm[size={}]", size);
    Values values = complete(of, bound(call), {{"control", control({})}});
    for (auto& [name, tensor] : values)
      if (name != "control")
        for (double& value : tensor.values()) value *= size;
    expect_agreement(of, call, values, [](const Values&, const Values&) -> Tolerances {
      return {{"control", {.ulps = 4}}};
    });
  }
}

TEST_P(Optimizer, the_end_of_a_step_counts) {
  for (const int skip : {0, 1})
    expect_agreement(
        fmt::format("step_end[skip={}]", skip), StepEnd{.control = described(DType::f32, {Control::count})},
        {{"control", control({{Control::step, 41}, {Control::skip, skip}, {Control::skipped_in_a_row, 3}})}});
}

INSTANTIATE_TEST_SUITE_P(on, Optimizer, testing::ValuesIn(backends_with<OptimizerStep>()), backend_name);

}  // namespace
}  // namespace scrawl::test
