#include "tests/cases/conv2d.h"

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Conv2d = EveryBackend;

class Conv2dPool : public EveryBackend {};

class Conv2dMoments : public EveryBackend {
 protected:
  /// Runs a case under every setting, and holds y to the reference within `of_y`. The moments are held to
  /// those that the reference takes of this very y: they must be of what is stored.
  void expect_moments(const std::string& of, const Conv2dMomentsForward& call, const Values& inputs,
                      const ToleranceRule& of_y) const {
    if (!selected(of) || !stores(backend(), call.x.type)) return;
    Values expected = specified(call, inputs);
    auto tolerances = of_y(inputs, expected);
    for (const auto& under : settings(backend())) {
      if (under.selection.kernels == KernelSet::vendor || under.memory == Memory::in_place) continue;
      auto copy = call;
      const auto observed = observe(backend(), under, copy, inputs);
      const auto where =
          fmt::format("{} on {}/{} with {}", of, backend().name, observed.variant, to_string(under));
      const auto& y = observed.outputs.at("y");
      for (const auto& [name, moment] : moments(y, call, inputs)) expected[name] = moment;
      constexpr double u = 0x1p-24;
      const double most = u * largest(y);  // what f32 keeps of a pixel far from zero, as in batch norm's test
      tolerances["mean"] = {.ulps = 2, .absolute = everywhere(4 * most)};
      // The shift is a pixel: one that lies k deviations from the mean makes the squares 1 + k^2 as large.
      tolerances["variance"] = {.ulps = 50, .absolute = everywhere(most * most)};
      Report report{.problems = observed.problems};
      judge(bound(copy), expected, observed.outputs, tolerances, where, report);
      for (const auto& problem : report.problems) ADD_FAILURE() << problem << "\n  repeat: " << repro(of);
    }
  }

 private:
  /// Mean and variance of y.
  static Values moments(const Tensor& y, const Conv2dMomentsForward& call, const Values& inputs) {
    const auto channels = described(DType::f32, call.mean.shape);
    const BatchNormForward norm{.x = described(DType::f32, y.shape()),
                                .gamma = channels,
                                .beta = channels,
                                .y = described(DType::f32, y.shape()),
                                .mean = channels,
                                .variance = channels,
                                .widths = call.y_widths};
    Values values{{"x", y}, {"gamma", Tensor(call.mean.shape, 1)}, {"beta", Tensor(call.mean.shape)}};
    if (call.y_widths.present()) values["widths"] = inputs.at("y_widths");
    auto outputs = specified(norm, values);
    outputs.erase("y");
    return outputs;
  }
};

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

PoolParams beside(std::int64_t height, std::int64_t width) {
  return {.window_h = height, .window_w = width, .stride_h = height, .stride_w = width};
}

/// Of the cases, those whose result has a window of 2x2, which pools by 2x2, 2x1 or 4x2.
template <class F>
void each_pooled_case(F&& f) {
  each_case([&](const Conv2dCase& c, DType type) {
    const Shapes shapes(c);
    if (shapes.y[2] < 2 || shapes.y[3] < 2) return;
    const auto pool = c.activation == Activation::relu ? beside(2, 2)
                      : shapes.y[2] < 4                ? beside(2, 1)
                                                       : beside(4, 2);
    const auto y = pool_output(pool, shapes.y);
    const auto convolved = ragged(c.n, shapes.y[3]);
    auto pooled = convolved;
    for (auto& width : pooled.values()) width = std::floor(width / static_cast<double>(pool.window_w));
    f(name("pool", c, type),
      Conv2dPoolForward{.params = c.params,
                        .pool = pool,
                        .x = described(type, shapes.x),
                        .w = described(type, shapes.w),
                        .b = optional(c.bias, DType::f32, {c.k}),
                        .y = described(type, y),
                        .argmax = described(DType::u8, y),
                        .convolved_widths = optional(c.widths, DType::i32, {c.n}),
                        .y_widths = optional(c.widths, DType::i32, {c.n})},
      Values{{"convolved_widths", convolved}, {"y_widths", pooled}});
  });
}

/// argmax is exact: the cases' random numbers have no ties within rounding.
TEST_P(Conv2dPool, forward_agrees_with_the_reference) {
  each_pooled_case([this](const std::string& of, const Conv2dPoolForward& call, const Values& given) {
    const auto sums = sum_of_products(call, static_cast<double>(call.w.shape.count() / call.w.shape[0]));
    expect_agreement(of, call, given, [=](const Values& inputs, const Values& expected) {
      auto tolerances = sums(inputs, expected);
      tolerances.erase("argmax");
      return tolerances;
    });
  });
}

TEST_P(Conv2dPool, ties_of_small_integers_go_to_the_first) {
  each_pooled_case([this](const std::string& of, Conv2dPoolForward call, const Values& given) {
    call.phase = KernelPhase::training;
    expect_agreement(of + ".exact", call, small_integers(of, bound(call), given));
  });
}

TEST_P(Conv2dPool, nan_wins_a_window_and_inference_keeps_no_argmax) {
  Conv2dPoolForward call{.pool = beside(2, 2),
                         .phase = KernelPhase::inference,
                         .x = described(DType::f32, {1, 4, 4, 4}),
                         .w = described(DType::f32, {8, 4, 1, 1}),
                         .y = described(DType::f32, {1, 8, 2, 2})};
  Tensor x(call.x.shape, 1);
  x(0, 1, 1, 1) = NAN;
  expect_agreement("conv2d.pool.nan", call, small_integers("conv2d.pool.nan", bound(call), {{"x", x}}));
}

template <class F>
void each_case_with_moments(F&& f) {
  for (const auto& c : conv2d_moments_cases)
    for (const auto type : storage_types) {
      const auto call = forward(c, type);
      const auto channels = described(DType::f32, {c.k});
      f(name("moments", c, type),
        Conv2dMomentsForward{.params = c.params,
                             .x = call.x,
                             .w = call.w,
                             .b = call.b,
                             .y = call.y,
                             .mean = channels,
                             .variance = channels,
                             .y_widths = call.y_widths},
        Values{{"y_widths", ragged(c.n, call.y.shape[3])}});
    }
}

/// Of y alone.
Tolerances of_products(const Conv2dMomentsForward& call, const Values& inputs) {
  const Conv2dForward linear{
      .params = call.params, .x = call.x, .w = call.w, .b = call.b, .y = call.y, .y_widths = call.y_widths};
  return sum_of_products(linear, static_cast<double>(call.w.shape.count() / call.w.shape[0]))(inputs, {});
}

TEST_P(Conv2dMoments, are_those_of_what_is_stored) {
  each_case_with_moments([this](const std::string& of, Conv2dMomentsForward call, const Values& given) {
    expect_moments(of, call, complete(of, bound(call), given),
                   [&](const Values& inputs, const Values&) { return of_products(call, inputs); });
  });
}

TEST_P(Conv2dMoments, are_right_far_from_zero) {
  each_case_with_moments([this](const std::string& of, Conv2dMomentsForward call, Values given) {
    if (!call.b.present()) return;
    given["b"] = Tensor(call.b.shape, 1e4);
    const auto far = of + ".far";
    expect_moments(far, call, complete(far, bound(call), given),
                   [&](const Values& inputs, const Values&) { return of_products(call, inputs); });
  });
}

TEST_P(Conv2dMoments, of_small_integers_come_with_an_exact_y) {
  each_case_with_moments([this](const std::string& of, Conv2dMomentsForward call, const Values& given) {
    const auto exact = of + ".exact";
    expect_moments(exact, call, small_integers(exact, bound(call), given),
                   [](const Values&, const Values&) { return Tolerances{}; });
  });
}

TEST_P(Conv2dMoments, nan_spoils_its_channel_and_no_other) {
  const auto channels = described(DType::f32, {10});
  Conv2dMomentsForward call{.x = described(DType::f32, {1, 4, 9, 9}),
                            .w = described(DType::f32, {10, 4, 1, 1}),
                            .b = channels,
                            .y = described(DType::f32, {1, 10, 9, 9}),
                            .mean = channels,
                            .variance = channels};
  Tensor b(Shape{10}, 1);
  b(3) = NAN;
  const std::string of = "conv2d.moments.nan";
  expect_moments(of, call, small_integers(of, bound(call), {{"b", b}}),
                 [](const Values&, const Values&) { return Tolerances{}; });
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

INSTANTIATE_TEST_SUITE_P(on, Conv2dPool, testing::ValuesIn(backends_with<Conv2dPoolForward>()), backend_name);
INSTANTIATE_TEST_SUITE_P(on, Conv2dMoments, testing::ValuesIn(backends_with<Conv2dMomentsForward>()),
                         backend_name);
INSTANTIATE_TEST_SUITE_P(on, Conv2d, testing::ValuesIn(backends_with<Conv2dForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
