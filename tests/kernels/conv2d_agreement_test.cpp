#include "tests/cases/conv2d.h"

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Conv2d = EveryBackend;

std::string name(std::string_view direction, const Conv2dCase& c, DType type) {
  const auto& p = c.params;
  return fmt::format(
      "conv2d.{}[N={},C={},H={},W={},K={},R={},S={},stride={}x{},pad={}-{}-{}-{},dilation={}x{},groups={},{}{"
      "}{},{}]",
      direction, c.n, c.c, c.h, c.w, c.k, c.r, c.s, p.stride_h, p.stride_w, p.pad_top, p.pad_left,
      p.pad_bottom, p.pad_right, p.dilation_h, p.dilation_w, p.groups, scrawl::name_of(c.activation),
      c.bias == Optional::present ? ",bias" : "", c.widths == Optional::present ? ",widths" : "",
      scrawl::name_of(type));
}

struct Shapes {
  explicit Shapes(const Conv2dCase& c)
      : x{c.n, c.c, c.h, c.w}, w{c.k, c.c / c.params.groups, c.r, c.s}, y(conv2d_output(c.params, x, w)) {}
  Shape x, w, y;
};

Conv2dForward forward(const Conv2dCase& c, DType type) {
  const Shapes shapes(c);
  return {.params = c.params,
          .activation = c.activation,
          .x = described(type, shapes.x),
          .w = described(type, shapes.w),
          .b = optional(c.bias, DType::f32, {c.k}),
          .y = described(type, shapes.y),
          .y_widths = optional(c.widths, DType::i32, {c.n})};
}

Conv2dBackwardData backward_data(const Conv2dCase& c, DType type) {
  const Shapes shapes(c);
  return {.params = c.params,
          .dy = described(type, shapes.y),
          .w = described(type, shapes.w),
          .dx = described(type, shapes.x),
          .x_widths = optional(c.widths, DType::i32, {c.n})};
}

Conv2dBackwardWeight backward_weight(const Conv2dCase& c, DType type) {
  const Shapes shapes(c);
  return {.params = c.params,
          .x = described(type, shapes.x),
          .dy = described(type, shapes.y),
          .dw = described(DType::f32, shapes.w),
          .db = optional(c.bias, DType::f32, {c.k})};
}

template <class F>
void each_case(F&& f) {
  for (const auto& c : conv2d_cases)
    for (const auto type : storage_types) f(c, type);
}

TEST_P(Conv2d, forward_agrees_with_the_reference) {
  each_case([&](const Conv2dCase& c, DType type) {
    const auto call = forward(c, type);
    auto linear = call;
    linear.activation = Activation::none;
    const bool is_curved = c.activation == Activation::sigmoid || c.activation == Activation::tanh;
    const double floor = is_curved ? 8 * unit_roundoff(DType::f32) : 0;  // of exp or tanh near 0
    expect_agreement(name("forward", c, type), call, {{"y_widths", ragged(c.n, call.y.shape[3])}},
                     sum_of_products(linear, static_cast<double>(call.w.shape.count() / c.k), floor));
  });
}

TEST_P(Conv2d, forward_for_inference_agrees_with_the_reference) {
  each_case([&](const Conv2dCase& c, DType type) {
    auto call = forward(c, type);
    call.activation = Activation::none;
    call.phase = KernelPhase::inference;
    expect_agreement(name("forward.inference", c, type), call, {{"y_widths", ragged(c.n, call.y.shape[3])}},
                     sum_of_products(call, static_cast<double>(call.w.shape.count() / c.k)));
  });
}

TEST_P(Conv2d, backward_data_agrees_with_the_reference) {
  each_case([&](const Conv2dCase& c, DType type) {
    const auto call = backward_data(c, type);
    expect_agreement(name("backward_data", c, type), call, {{"x_widths", ragged(c.n, c.w)}},
                     sum_of_products(call, static_cast<double>(c.k * c.r * c.s / c.params.groups)));
  });
}

TEST_P(Conv2d, backward_weight_agrees_with_the_reference) {
  each_case([&](const Conv2dCase& c, DType type) {
    const auto call = backward_weight(c, type);
    expect_agreement(name("backward_weight", c, type), call, {},
                     sum_of_products(call, static_cast<double>(call.dy.shape.count() / c.k)));
  });
}

TEST_P(Conv2d, small_integers_are_exact) {
  const auto exactly = [&](const std::string& of, auto call, const Values& given) {
    expect_agreement(of, call, small_integers(of, bound(call), given));
  };
  each_case([&](const Conv2dCase& c, DType type) {
    auto call = forward(c, type);
    if (call.activation != Activation::relu) call.activation = Activation::none;
    exactly(name("forward.exact", c, type), call, {{"y_widths", ragged(c.n, call.y.shape[3])}});
    exactly(name("backward_data.exact", c, type), backward_data(c, type), {{"x_widths", ragged(c.n, c.w)}});
    exactly(name("backward_weight.exact", c, type), backward_weight(c, type), {});
  });
}

INSTANTIATE_TEST_SUITE_P(on, Conv2d, testing::ValuesIn(backends_with<Conv2dForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
