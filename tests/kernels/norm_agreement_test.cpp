#include "tests/cases/norm.h"

#include <algorithm>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Norm = EveryBackend;

class NormApply : public EveryBackend {};

constexpr double u = 0x1p-24;  // sums and statistics are f32

std::string name(std::string_view direction, const NormCase& c, Activation activation, DType type) {
  return fmt::format("batch_norm.{}[N={},C={},H={},W={},mean={},{}{},{}]", direction, c.n, c.c, c.h, c.w,
                     c.mean, name_of(activation), c.widths == Optional::present ? ",widths" : "",
                     name_of(type));
}

Shape image(const NormCase& c) { return {c.n, c.c, c.h, c.w}; }

/// x around the case's mean; valid widths. A mean of 1e4 leaves bf16 no digits for the deviation.
Values inputs(std::string_view of, const NormCase& c, DType type) {
  const View x = described(type, image(c));
  BatchNormForward draw{.x = x};
  Values values = complete(of, {{"x", &draw.x, Role::input}}, {});
  for (double& value : values.at("x").values()) value += c.mean;
  values["x"] = rounded(values.at("x"), type);
  values["widths"] = values["x_widths"] = ragged(c.n, c.w);
  return values;
}

template <class F>
void each_case(F&& f) {
  for (const auto& c : norm_cases)
    for (const auto type : storage_types)
      for (const auto activation : {Activation::none, Activation::relu}) f(c, activation, type);
}

template <class Call>
Call with_channels(Call call, const NormCase& c, DType type) {
  const Shape channels{c.c};
  call.x = described(type, image(c));
  call.mean = call.variance = call.gamma = described(DType::f32, channels);
  return call;
}

BatchNormForward forward(const NormCase& c, Activation activation, DType type) {
  auto call = with_channels(BatchNormForward{.activation = activation}, c, type);
  call.y = call.x;
  call.beta = call.gamma;
  call.widths = optional(c.widths, DType::i32, {c.n});
  return call;
}

/// The moments as forward stores them.
Values with_moments(Values values, const Values& forward_outputs) {
  for (const char* moment : {"mean", "variance"})
    values[moment] = rounded(forward_outputs.at(moment), DType::f32);
  return values;
}

/// The largest dy/dx with the moments held.
double steepest(const Tensor& gamma, const Tensor& variance, float epsilon) {
  return largest(gamma) / std::sqrt(*std::ranges::min_element(variance.values()) + epsilon);
}

enum class Sums : std::uint8_t { shifted, plain };

/// Of the moments and of y: 10 u of the result, and the rounding of x - mean, which a large mean magnifies.
/// A library's plain sums in f32 add to that what grows with the root of their terms.
Tolerances forward_tolerances(const Values& values, const Values& expected, float epsilon,
                              Sums sums = Sums::shifted) {
  const Tensor& x = values.at("x");
  const auto pixels = static_cast<double>(x.shape().count() / x.extent(1));
  const double growth = sums == Sums::plain ? std::sqrt(pixels) : 0, most = largest(x);
  const double slope = steepest(values.at("gamma"), expected.at("variance"), epsilon);
  const double mean = (4 + growth) * u * most, variance = (1 + growth) * u * most;
  return {{"mean", {.ulps = 2, .absolute = everywhere(mean)}},
          {"variance", {.ulps = 20 + growth, .absolute = everywhere(variance * variance)}},
          {"y", {.ulps = 10, .absolute = everywhere(mean * slope + 4 * u * largest(values.at("beta")))}}};
}

/// The settings of kernels of our own, or of a library's.
std::vector<Setting> settings_of(const Backend& backend, Sums sums) {
  std::vector<Setting> chosen;
  std::ranges::copy_if(settings(backend), std::back_inserter(chosen), [&](const Setting& setting) {
    return (setting.selection.kernels == KernelSet::vendor) == (sums == Sums::plain);
  });
  return chosen;
}

/// Of dx: 10 u of the terms that cancel in it, which are as large as dy times its slope. Of the sums of g and
/// g xhat: the Cauchy-Schwarz bound of their absolute values.
Tolerances backward_tolerances(const Values& values, float epsilon) {
  double squares = 0;
  for (const double value : values.at("dy").values()) squares += value * value;
  const auto pixels = static_cast<double>(values.at("x").shape().count() / values.at("x").extent(1));
  const double slope = steepest(values.at("gamma"), values.at("variance"), epsilon);
  const Tolerance sums{.ulps = 2, .absolute = everywhere(10 * u * std::sqrt(squares * pixels))};
  return {{"dx", {.ulps = 10, .absolute = everywhere(10 * u * slope * largest(values.at("dy")))}},
          {"dgamma", sums},
          {"dbeta", sums}};
}

TEST_P(Norm, forward_agrees_with_the_reference) {
  each_case([&](const NormCase& c, Activation activation, DType type) {
    const auto of = name("forward", c, activation, type);
    const auto call = forward(c, activation, type);
    for (const auto sums : {Sums::shifted, Sums::plain}) {
      const auto under = settings_of(backend(), sums);
      expect_agreement(
          of, call, inputs(of, c, type),
          [&](const Values& values, const Values& expected) {
            return forward_tolerances(values, expected, call.epsilon, sums);
          },
          &under);
    }
  });
}

TEST_P(Norm, inference_agrees_with_the_reference) {
  each_case([&](const NormCase& c, Activation activation, DType type) {
    const auto of = name("inference", c, activation, type);
    auto call = with_channels(BatchNormInference{.activation = activation}, c, type);
    call.y = call.x;
    call.beta = call.gamma;
    call.widths = optional(c.widths, DType::i32, {c.n});
    Values values = inputs(of, c, type);
    values["mean"] = Tensor(Shape{c.c}, c.mean + 0.25);
    values["variance"] = Tensor(Shape{c.c}, 1.5);
    expect_agreement(of, call, values, [&](const Values& given, const Values&) -> Tolerances {
      const double size = (largest(given.at("x")) + largest(given.at("mean"))) * largest(given.at("gamma"));
      return {{"y", {.ulps = 10, .absolute = everywhere(4 * u * (size + largest(given.at("beta"))))}}};
    });
  });
}

TEST_P(Norm, backward_agrees_with_the_reference) {
  each_case([&](const NormCase& c, Activation activation, DType type) {
    const auto of = name("backward", c, activation, type);
    auto forward_call = forward(c, activation, type);
    auto call = with_channels(BatchNormBackward{.activation = activation}, c, type);
    call.dy = call.dx = call.x;
    call.beta = call.dgamma = call.dbeta = call.gamma;
    call.widths = forward_call.widths;
    const Values values = complete(of, bound(forward_call), inputs(of, c, type));
    expect_agreement(
        of, call, with_moments(values, specified(forward_call, values)),
        [&](const Values& given, const Values&) { return backward_tolerances(given, call.epsilon); });
  });
}

struct NormPool {
  NormPool(const NormPoolCase& c, DType type) {
    const auto widths = optional(c.image.widths, DType::i32, {c.image.n});
    const Shape y = pool_output(c.pool, image(c.image));
    forward = with_channels(BatchNormPoolForward{.pool = c.pool, .x_widths = widths, .y_widths = widths},
                            c.image, type);
    forward.beta = forward.gamma;
    forward.y = described(type, y);
    forward.argmax = described(argmax_type(c.pool), y);
    backward = with_channels(BatchNormPoolBackward{.pool = c.pool, .x_widths = widths, .y_widths = widths},
                             c.image, type);
    backward.y = backward.dy = forward.y;
    backward.argmax = forward.argmax;
    backward.dx = backward.x;
    backward.dgamma = backward.dbeta = backward.gamma;
  }

  BatchNormPoolForward forward;
  BatchNormPoolBackward backward;
};

Values pool_inputs(std::string_view of, const NormPoolCase& c, DType type) {
  Values values = inputs(of, c.image, type);
  const WindowWidths call{.extent = c.pool.window_w,
                          .stride = c.pool.stride_w,
                          .pad_left = c.pool.pad_w,
                          .pad_right = c.pool.pad_w,
                          .width = pool_output(c.pool, image(c.image))[3],
                          .widths = described(DType::i32, {c.image.n}),
                          .out = described(DType::i32, {c.image.n})};
  values["y_widths"] = specified(call, {{"widths", values.at("x_widths")}}).at("out");
  return values;
}

std::string name(std::string_view direction, const NormPoolCase& c, DType type) {
  const auto& p = c.pool;
  return fmt::format("{},window={}x{},stride={}x{},pad={}x{}]",
                     name(fmt::format("pool.{}", direction), c.image, Activation::relu, type), p.window_h,
                     p.window_w, p.stride_h, p.stride_w, p.pad_h, p.pad_w);
}

TEST_P(Norm, fused_with_pooling_forward_agrees_with_the_reference) {
  for (const auto& c : norm_pool_cases)
    for (const auto type : storage_types) {
      const auto of = name("forward", c, type);
      const auto call = NormPool(c, type).forward;
      expect_agreement(of, call, pool_inputs(of, c, type), [&](const Values& values, const Values& expected) {
        return forward_tolerances(values, expected, call.epsilon);
      });
    }
}

TEST_P(NormApply, normalises_and_pools_by_given_moments) {
  for (const auto& c : norm_pool_cases)
    for (const auto type : storage_types) {
      const auto of = name("apply", c, type);
      const auto whole = NormPool(c, type).forward;
      const BatchNormPoolApply call{.epsilon = whole.epsilon,
                                    .pool = whole.pool,
                                    .x = whole.x,
                                    .gamma = whole.gamma,
                                    .beta = whole.beta,
                                    .mean = whole.mean,
                                    .variance = whole.variance,
                                    .y = whole.y,
                                    .argmax = whole.argmax,
                                    .x_widths = whole.x_widths,
                                    .y_widths = whole.y_widths};
      Values values = pool_inputs(of, c, type);
      values["mean"] = rounded(Tensor(Shape{c.image.c}, c.image.mean + 0.25), DType::f32);
      values["variance"] = Tensor(Shape{c.image.c}, 1.5);
      expect_agreement(of, call, values, [&](const Values& given, const Values&) -> Tolerances {
        const double slope = steepest(given.at("gamma"), given.at("variance"), call.epsilon);
        const double size = (largest(given.at("x")) + largest(given.at("mean"))) * slope;
        return {{"y", {.ulps = 10, .absolute = everywhere(4 * u * (size + largest(given.at("beta"))))}}};
      });
    }
}

TEST_P(Norm, fused_with_pooling_backward_agrees_with_the_reference) {
  for (const auto& c : norm_pool_cases)
    for (const auto type : storage_types) {
      const auto of = name("backward", c, type);
      NormPool calls(c, type);
      Values values = complete(of, bound(calls.forward), pool_inputs(of, c, type));
      const Values outputs = specified(calls.forward, values);
      values["y"] = outputs.at("y");
      values["argmax"] = outputs.at("argmax");
      expect_agreement(of, calls.backward, with_moments(values, outputs),
                       [&](const Values& given, const Values&) {
                         return backward_tolerances(given, calls.backward.epsilon);
                       });
    }
}

/// Ours alone: a library's ReLU may make 0 of NaN.
TEST_P(Norm, nan_spoils_its_channel_and_no_other) {
  const NormCase c{2, 16, 3, 5};
  const auto under = settings_of(backend(), Sums::shifted);
  const Tolerance close{.absolute = everywhere(1e-5)};  // of values about 1, in f32
  const auto rule = [&](const Values&, const Values&) {
    return Tolerances{{"mean", close}, {"variance", close}, {"y", close}};
  };
  for (const auto activation : {Activation::none, Activation::relu}) {
    const auto of = name("forward.nan", c, activation, DType::f32);
    Values values = inputs(of, c, DType::f32);
    values.at("x")(1, 3, 2, 4) = NAN;
    expect_agreement(of, forward(c, activation, DType::f32), values, rule, &under);
  }
  const NormPoolCase pooled{c};
  const auto of = name("forward.nan", pooled, DType::f32);
  Values values = pool_inputs(of, pooled, DType::f32);
  values.at("x")(1, 3, 2, 4) = NAN;  // beyond the windows: only the moments see it
  expect_agreement(of, NormPool(pooled, DType::f32).forward, values, rule, &under);
}

TEST_P(Norm, running_statistics_agree_with_the_reference) {
  for (const auto moment : {RunningUpdate::Moment::mean, RunningUpdate::Moment::variance})
    for (const auto widths : {Optional::absent, Optional::present})
      for (const int skip : {0, 1})
        for (const std::int64_t channels : {1, 17, 64})
          for (const std::int64_t count : {0, 1, 2, 360, 391}) {
            if (widths == Optional::present && count % (4 * 9) != 0) continue;
            const RunningUpdate call{.moment = moment,
                                     .count = count,
                                     .height = 9,
                                     .running = described(DType::f32, {channels}),
                                     .value = described(DType::f32, {channels}),
                                     .widths = optional(widths, DType::i32, {4}),
                                     .control = described(DType::f32, {Control::count})};
            Tensor control(Shape{Control::count});
            control(Control::skip) = skip;
            expect_agreement(
                fmt::format("running_update[{},C={},M={}{}{}]",
                            moment == RunningUpdate::Moment::mean ? "mean" : "variance", channels, count,
                            widths == Optional::present ? ",widths" : "", skip ? ",skip" : ""),
                call, {{"widths", ragged(4, 10)}, {"control", control}},
                [&](const Values& values, const Values&) -> Tolerances {
                  if (skip) return {};
                  const double size = largest(values.at("running")) + 2 * largest(values.at("value"));
                  return {{"running", {.ulps = 4, .absolute = everywhere(4 * u * size)}}};
                });
          }
}

TEST_P(Norm, folding_into_a_convolution_agrees_with_the_reference) {
  for (const auto bias : {Optional::absent, Optional::present})
    for (const Shape& w : {Shape{1, 1, 1, 1}, Shape{17, 3, 3, 3}, Shape{32, 16, 5, 5}, Shape{7, 33}}) {
      const auto channels = described(DType::f32, {w[0]});
      const FoldBatchNorm call{.w = described(DType::f32, w),
                               .b = bias == Optional::present ? channels : View{},
                               .gamma = channels,
                               .beta = channels,
                               .mean = channels,
                               .variance = channels,
                               .folded_w = described(DType::f32, w),
                               .folded_b = channels};
      Tensor variance(Shape{w[0]});
      for (std::int64_t k = 0; k < w[0]; ++k) variance(k) = 0.25 + 0.125 * static_cast<double>(k);
      expect_agreement(
          fmt::format("fold_batch_norm[w={}{}]", to_string(w), bias == Optional::present ? ",bias" : ""),
          call, {{"variance", variance}}, [&](const Values&, const Values& expected) -> Tolerances {
            return {{"folded_w", {.ulps = 8}}, {"folded_b", by_norm(8 * u, expected.at("folded_b"))}};
          });
    }
}

INSTANTIATE_TEST_SUITE_P(on, NormApply, testing::ValuesIn(backends_with<BatchNormPoolApply>()), backend_name);
INSTANTIATE_TEST_SUITE_P(on, Norm, testing::ValuesIn(backends_with<BatchNormForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
