/// Valid widths come from memory of the device, where nobody looks at them before a kernel does: those that
/// no image has must do what the nearest one does, to the bit.

#include <limits>

#include "kernels/conv2d.h"
#include "kernels/norm.h"
#include "kernels/pool.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

constexpr std::int64_t images = 6, channels = 8, height = 4, width = 5;
constexpr PoolParams by_two{}, overlapping{.window_h = 3, .window_w = 3, .pad_h = 1, .pad_w = 1};

/// Less than none, of the first image and of one behind a whole one; none, all, more, as many as can be said.
Tensor wild(std::int64_t extent) {
  Tensor widths(Shape{images});
  widths(0) = -3;
  widths(1) = static_cast<double>(extent);
  widths(2) = -3;
  widths(3) = 0;
  widths(4) = static_cast<double>(extent + 5);
  widths(5) = std::numeric_limits<std::int32_t>::max();
  return widths;
}

Tensor clamped(std::int64_t extent) {
  Tensor widths = wild(extent);
  for (double& value : widths.values()) value = std::clamp(value, 0.0, static_cast<double>(extent));
  return widths;
}

View image(std::int64_t c = channels) { return described(DType::f32, {images, c, height, width}); }
View pooled(const PoolParams& by, DType type = DType::f32) {
  return described(type, pool_output(by, image().shape));
}
std::int64_t pooled_width(const PoolParams& by) { return pooled(by).shape[3]; }
View companion() { return described(DType::f32, {channels}); }
View widths() { return described(DType::i32, {images}); }

class Widths : public EveryBackend {
 protected:
  /// `extents`: what widths are clamped to, by operand. `given`: other operands that cannot be random.
  template <class Call>
  void expect_clamped(const std::string& of, const Call& call,
                      const std::vector<std::pair<std::string, std::int64_t>>& extents,
                      const Values& given = {}) const {
    if (!(backend().*operation<Call>.planner)) return;  // fused, and taken apart there
    const auto inputs = [&](Tensor (*width_of)(std::int64_t)) {
      Values values = given;
      for (const auto& [name, extent] : extents) values[name] = width_of(extent);
      Call copy = call;
      return complete(of, bound(copy), values);
    };
    for (const auto& setting : settings(backend())) {
      if (setting.memory == Memory::in_place) continue;
      const auto where = fmt::format("{} on {} with {}", of, backend().name, to_string(setting));
      try {
        const auto expected = observe(backend(), setting, call, inputs(clamped), Runs::once);
        auto observed = observe(backend(), setting, call, inputs(wild), Runs::once);
        expect_repeated(expected.outputs, observed.outputs, observed.problems);
        for (const auto& problem : observed.problems) ADD_FAILURE() << where << ": " << problem;
      } catch (const Unsupported& unsupported) {
        EXPECT_NE(setting.selection.kernels, KernelSet::automatic) << unsupported.what();
      } catch (const DeviceError& broken) {
        ADD_FAILURE() << where << ": " << broken.what();
      }
    }
  }
};

constexpr Conv2dParams same{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};

TEST_P(Widths, of_convolutions_are_clamped) {
  for (const std::int64_t c : {std::int64_t{1}, channels}) {  // few channels have kernels of their own
    const auto w = described(DType::f32, {channels, c, 3, 3});
    expect_clamped(fmt::format("conv2d_forward[C={}]", c),
                   Conv2dForward{.params = same, .x = image(c), .w = w, .y = image(), .y_widths = widths()},
                   {{"y_widths", width}});
    expect_clamped(fmt::format("conv2d_pool_forward[C={}]", c),
                   Conv2dPoolForward{.params = same,
                                     .pool = by_two,
                                     .x = image(c),
                                     .w = w,
                                     .y = pooled(by_two),
                                     .argmax = pooled(by_two, DType::u8),
                                     .convolved_widths = widths(),
                                     .y_widths = widths()},
                   {{"convolved_widths", width}, {"y_widths", pooled_width(by_two)}});
    expect_clamped(fmt::format("conv2d_moments_forward[C={}]", c),
                   Conv2dMomentsForward{.params = same,
                                        .x = image(c),
                                        .w = w,
                                        .y = image(),
                                        .mean = companion(),
                                        .variance = companion(),
                                        .y_widths = widths()},
                   {{"y_widths", width}});
    expect_clamped(
        fmt::format("conv2d_backward_data[C={}]", c),
        Conv2dBackwardData{.params = same, .dy = image(), .w = w, .dx = image(c), .x_widths = widths()},
        {{"x_widths", width}});
  }
}

TEST_P(Widths, of_pooling_are_clamped) {
  for (const auto kind : {PoolKind::max, PoolKind::average})
    for (auto params : {by_two, overlapping}) {
      params.kind = kind;
      const bool is_max = kind == PoolKind::max;
      PoolForward forward{
          .params = params, .x = image(), .y = pooled(params), .x_widths = widths(), .y_widths = widths()};
      PoolBackward backward{
          .params = params, .dy = pooled(params), .dx = image(), .x_widths = widths(), .y_widths = widths()};
      if (is_max) forward.argmax = backward.argmax = pooled(params, DType::u8);
      const std::vector<std::pair<std::string, std::int64_t>> extents{{"x_widths", width},
                                                                      {"y_widths", pooled_width(params)}};
      const auto of =
          fmt::format("[{},window={}]", kind == PoolKind::max ? "max" : "average", params.window_w);
      expect_clamped("pool_forward" + of, forward, extents);
      Values given;
      if (is_max) {
        auto copy = forward;
        const auto inputs =
            complete("pool_forward" + of, bound(copy),
                     {{"x_widths", clamped(width)}, {"y_widths", clamped(pooled_width(params))}});
        given["argmax"] = specified(forward, inputs).at("argmax");
      }
      expect_clamped("pool_backward" + of, backward, extents, given);
    }
  expect_clamped(
      "window_widths",
      WindowWidths{
          .extent = 2, .stride = 2, .width = pooled_width(by_two), .widths = widths(), .out = widths()},
      {{"widths", width}});
}

TEST_P(Widths, of_batch_norm_are_clamped) {
  Tensor variance(Shape{channels}, 2);
  const Values given{{"variance", variance}};
  for (const auto activation : {Activation::none, Activation::relu}) {
    const auto of = fmt::format("[{}]", name_of(activation));
    expect_clamped("batch_norm_forward" + of,
                   BatchNormForward{.activation = activation,
                                    .x = image(),
                                    .gamma = companion(),
                                    .beta = companion(),
                                    .y = image(),
                                    .mean = companion(),
                                    .variance = companion(),
                                    .widths = widths()},
                   {{"widths", width}});
    expect_clamped("batch_norm_inference" + of,
                   BatchNormInference{.activation = activation,
                                      .x = image(),
                                      .gamma = companion(),
                                      .beta = companion(),
                                      .mean = companion(),
                                      .variance = companion(),
                                      .y = image(),
                                      .widths = widths()},
                   {{"widths", width}}, given);
    expect_clamped("batch_norm_backward" + of,
                   BatchNormBackward{.activation = activation,
                                     .x = image(),
                                     .dy = image(),
                                     .gamma = companion(),
                                     .beta = companion(),
                                     .mean = companion(),
                                     .variance = companion(),
                                     .dx = image(),
                                     .dgamma = companion(),
                                     .dbeta = companion(),
                                     .widths = widths()},
                   {{"widths", width}}, given);
  }
  for (const auto moment : {RunningUpdate::Moment::mean, RunningUpdate::Moment::variance})
    expect_clamped(
        fmt::format("running_update[{}]", moment == RunningUpdate::Moment::mean ? "mean" : "variance"),
        RunningUpdate{.moment = moment,
                      .count = images * height * width,
                      .height = height,
                      .running = companion(),
                      .value = companion(),
                      .widths = widths(),
                      .control = described(DType::f32, {Control::count})},
        {{"widths", width}}, {{"control", Tensor(Shape{Control::count})}});
}

TEST_P(Widths, of_batch_norm_with_pooling_are_clamped) {
  for (const auto& pool : {by_two, overlapping}) {
    const std::vector<std::pair<std::string, std::int64_t>> extents{{"x_widths", width},
                                                                    {"y_widths", pooled_width(pool)}};
    const auto of = fmt::format("[window={}]", pool.window_w);
    const BatchNormPoolForward forward{.pool = pool,
                                       .x = image(),
                                       .gamma = companion(),
                                       .beta = companion(),
                                       .y = pooled(pool),
                                       .argmax = pooled(pool, DType::u8),
                                       .mean = companion(),
                                       .variance = companion(),
                                       .x_widths = widths(),
                                       .y_widths = widths()};
    expect_clamped("batch_norm_pool_forward" + of, forward, extents);
    auto copy = forward;
    const auto inputs = complete("batch_norm_pool_forward" + of, bound(copy),
                                 {{"x_widths", clamped(width)}, {"y_widths", clamped(pooled_width(pool))}});
    Values given = specified(forward, inputs);
    for (const auto* const input : {"x", "gamma"}) given[input] = inputs.at(input);
    expect_clamped("batch_norm_pool_backward" + of,
                   BatchNormPoolBackward{.pool = pool,
                                         .x = image(),
                                         .y = pooled(pool),
                                         .dy = pooled(pool),
                                         .argmax = pooled(pool, DType::u8),
                                         .gamma = companion(),
                                         .mean = companion(),
                                         .variance = companion(),
                                         .dx = image(),
                                         .dgamma = companion(),
                                         .dbeta = companion(),
                                         .x_widths = widths(),
                                         .y_widths = widths()},
                   extents, given);
    for (const auto* const output : {"y", "argmax"}) given.erase(output);
    expect_clamped("batch_norm_pool_apply" + of,
                   BatchNormPoolApply{.pool = pool,
                                      .x = image(),
                                      .gamma = companion(),
                                      .beta = companion(),
                                      .mean = companion(),
                                      .variance = companion(),
                                      .y = pooled(pool),
                                      .argmax = pooled(pool, DType::u8),
                                      .x_widths = widths(),
                                      .y_widths = widths()},
                   extents, given);
  }
}

INSTANTIATE_TEST_SUITE_P(on, Widths, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace scrawl::test
