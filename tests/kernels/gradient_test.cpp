/// Every differentiable operation of the reference, in double, against central differences.

#include <algorithm>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

constexpr double step = 1e-5, relative = 1e-5;

/// A scalar function of values, and what claims to be its gradient, by input.
using Function = std::function<double(const Values&)>;

void expect_gradient(std::string_view of, Values values, const Function& f, const Values& gradients) {
  for (const auto& [input, gradient] : gradients) {
    ASSERT_EQ(values.at(input).shape(), gradient.shape()) << of << ": " << input;
    const double floor = 1e-3 * largest(gradient) + 1e-6;
    for (std::size_t i = 0; i < gradient.values().size(); ++i) {
      double& x = values.at(input).values()[i];
      const double at = x;
      x = at + step;
      const double above = f(values);
      x = at - step;
      const double below = f(values);
      x = at;
      const double expected = (above - below) / (2 * step), got = gradient.values()[i];
      ASSERT_NEAR(got, expected, relative * (std::abs(expected) + floor))
          << of << ": d" << input << " element " << i;
    }
  }
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values().size(); ++i) sum += a.values()[i] * b.values()[i];
  return sum;
}

/// Checks forward and backward calls that name their operands alike: the gradient of sum(y dy) over the
/// outputs named in `upstream` ("dy") is in the outputs of backward named in `outputs` ("dx").
template <class Forward, class Backward>
void expect_backward(std::string_view of, Forward forward, Backward backward, Values given,
                     const std::vector<std::string>& upstream, const std::vector<std::string>& outputs) {
  Values values = complete(of, bound(forward), std::move(given));
  const Values results = specified(forward, values);
  Values onward = values;
  for (const auto& [name, tensor] : results) onward.insert({name, tensor});
  onward = complete(of, bound(backward), onward);
  const Function f = [&](const Values& at) {
    const Values y = specified(forward, at);
    double sum = 0;
    for (const auto& name : upstream) sum += dot(y.at(name.substr(1)), onward.at(name));
    return sum;
  };
  Values gradients;
  const Values got = specified(backward, onward);
  for (const auto& name : outputs) gradients[name.substr(1)] = got.at(name);
  expect_gradient(of, values, f, gradients);
}

View f64(const Shape& shape) { return described(DType::f64, shape); }
View i32(const Shape& shape) { return described(DType::i32, shape); }

TEST(gradient, activation) {
  for (const auto kind : {Activation::none, Activation::relu, Activation::sigmoid, Activation::tanh}) {
    const auto x = f64({3, 7});
    expect_backward(name_of(kind), ActivationForward{.kind = kind, .x = x, .y = x},
                    ActivationBackward{.kind = kind, .y = x, .dy = x, .dx = x}, {}, {"dy"}, {"dx"});
  }
}

TEST(gradient, conv2d) {
  const Conv2dParams cases[] = {
      {},
      {.stride_h = 2, .stride_w = 1, .pad_top = 1, .pad_left = 2, .pad_bottom = 0, .pad_right = 1},
      {.pad_top = 1, .dilation_h = 2, .dilation_w = 3, .groups = 2}};
  for (const auto& params : cases) {
    const Shape x{2, 4, 6, 8}, w{6, 4 / params.groups, 3, 2}, y = conv2d_output(params, x, w);
    const auto of = fmt::format("groups={}", params.groups);
    const Conv2dForward forward{.params = params, .x = f64(x), .w = f64(w), .b = f64({6}), .y = f64(y)};
    expect_backward(of, forward,
                    Conv2dBackwardData{.params = params, .dy = f64(y), .w = f64(w), .dx = f64(x)}, {}, {"dy"},
                    {"dx"});
    expect_backward(
        of, forward,
        Conv2dBackwardWeight{.params = params, .x = f64(x), .dy = f64(y), .dw = f64(w), .db = f64({6})}, {},
        {"dy"}, {"dw", "db"});
  }
}

TEST(gradient, conv2d_of_valid_widths) {
  const Conv2dParams params{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  const Shape x{3, 2, 4, 6}, w{3, 2, 3, 3}, y{3, 3, 4, 6};
  const auto widths = ragged(3, 6);
  // What lies beyond the widths is zero and stays out of the gradient: x through a mask, dy as its writer
  // left it.
  auto masked = [&](std::string_view of, const Shape& shape) {
    Copy draw{.x = f64(shape), .y = f64(shape)};
    Tensor values = complete(of, bound(draw), {}).at("x");
    for (std::int64_t n = 0; n < shape[0]; ++n)
      for (std::int64_t c = 0; c < shape[1]; ++c)
        for (std::int64_t h = 0; h < shape[2]; ++h)
          for (auto column = static_cast<std::int64_t>(widths(n)); column < shape[3]; ++column)
            values(n, c, h, column) = 0;
    return values;
  };
  const Conv2dForward forward{
      .params = params, .x = f64(x), .w = f64(w), .b = f64({3}), .y = f64(y), .y_widths = i32({3})};
  const Values given{
      {"x", masked("x", x)}, {"dy", masked("dy", y)}, {"y_widths", widths}, {"x_widths", widths}};
  expect_backward(
      "widths", forward,
      Conv2dBackwardWeight{.params = params, .x = f64(x), .dy = f64(y), .dw = f64(w), .db = f64({3})}, given,
      {"dy"}, {"dw", "db"});
}

TEST(gradient, dense) {
  const auto x = f64({2, 3, 5}), w = f64({4, 5}), y = f64({2, 3, 4}), b = f64({4});
  const DenseForward forward{.x = x, .w = w, .b = b, .y = y};
  expect_backward("data", forward, DenseBackwardData{.dy = y, .w = w, .dx = x}, {}, {"dy"}, {"dx"});
  expect_backward("weight", forward, DenseBackwardWeight{.x = x, .dy = y, .dw = w, .db = b}, {}, {"dy"},
                  {"dw", "db"});
}

TEST(gradient, pool) {
  const PoolParams geometries[] = {
      {}, {.window_h = 3, .window_w = 2, .stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 1}};
  for (auto params : geometries)
    for (const auto kind : {PoolKind::max, PoolKind::average})
      for (const auto ragged_widths : {Optional::absent, Optional::present}) {
        params.kind = kind;
        const Shape x{3, 2, 5, 6}, y = pool_output(params, x);
        const auto argmax = kind == PoolKind::max ? described(DType::u8, y) : View{};
        const auto widths = optional(ragged_widths, DType::i32, {3});
        expect_backward(kind == PoolKind::max ? "max" : "average",
                        PoolForward{.params = params,
                                    .x = f64(x),
                                    .y = f64(y),
                                    .argmax = argmax,
                                    .x_widths = widths,
                                    .y_widths = widths},
                        PoolBackward{.params = params,
                                     .dy = f64(y),
                                     .argmax = argmax,
                                     .dx = f64(x),
                                     .x_widths = widths,
                                     .y_widths = widths},
                        {{"x_widths", ragged(3, 6)}, {"y_widths", ragged(3, y[3])}}, {"dy"}, {"dx"});
      }
}

TEST(gradient, batch_norm) {
  for (const auto activation : {Activation::none, Activation::relu})
    for (const auto ragged_widths : {Optional::absent, Optional::present}) {
      const auto x = f64({3, 2, 4, 5}), c = f64({2});
      const auto widths = optional(ragged_widths, DType::i32, {3});
      expect_backward(name_of(activation),
                      BatchNormForward{.activation = activation,
                                       .x = x,
                                       .gamma = c,
                                       .beta = c,
                                       .y = x,
                                       .mean = c,
                                       .variance = c,
                                       .widths = widths},
                      BatchNormBackward{.activation = activation,
                                        .x = x,
                                        .dy = x,
                                        .gamma = c,
                                        .beta = c,
                                        .mean = c,
                                        .variance = c,
                                        .dx = x,
                                        .dgamma = c,
                                        .dbeta = c,
                                        .widths = widths},
                      {{"widths", ragged(3, 5)}}, {"dy"}, {"dx", "dgamma", "dbeta"});
    }
}

TEST(gradient, batch_norm_with_pooling) {
  for (const auto ragged_widths : {Optional::absent, Optional::present}) {
    const PoolParams pool{.stride_w = 1};
    const Shape shape{3, 2, 4, 5};
    const auto x = f64(shape), c = f64({2}), y = f64(pool_output(pool, shape));
    const auto argmax = described(DType::u8, y.shape);
    const auto widths = optional(ragged_widths, DType::i32, {3});
    expect_backward("relu and max",
                    BatchNormPoolForward{.pool = pool,
                                         .x = x,
                                         .gamma = c,
                                         .beta = c,
                                         .y = y,
                                         .argmax = argmax,
                                         .mean = c,
                                         .variance = c,
                                         .x_widths = widths,
                                         .y_widths = widths},
                    BatchNormPoolBackward{.pool = pool,
                                          .x = x,
                                          .y = y,
                                          .dy = y,
                                          .argmax = argmax,
                                          .gamma = c,
                                          .mean = c,
                                          .variance = c,
                                          .dx = x,
                                          .dgamma = c,
                                          .dbeta = c,
                                          .x_widths = widths,
                                          .y_widths = widths},
                    {{"x_widths", ragged(3, 5)}, {"y_widths", ragged(3, y.shape[3])}}, {"dy"},
                    {"dx", "dgamma", "dbeta"});
  }
}

TEST(gradient, lstm) {
  for (const std::int64_t directions : {1, 2})
    for (const auto ragged_lengths : {Optional::absent, Optional::present}) {
      const auto x = f64({5, 4, 3}), w_ih = f64({directions, 8, 3}), w_hh = f64({directions, 8, 2});
      const auto b = f64({directions, 8}), state = f64({directions, 4, 2}), y = f64({5, 4, 2 * directions});
      const auto lengths = optional(ragged_lengths, DType::i32, {4});
      const auto reserve = described(DType::u8, {0});
      expect_backward("lstm",
                      LstmForward{.x = x,
                                  .lengths = lengths,
                                  .h0 = state,
                                  .c0 = state,
                                  .w_ih = w_ih,
                                  .w_hh = w_hh,
                                  .b = b,
                                  .y = y,
                                  .hn = state,
                                  .cn = state,
                                  .reserve = reserve},
                      LstmBackward{.x = x,
                                   .lengths = lengths,
                                   .h0 = state,
                                   .c0 = state,
                                   .w_ih = w_ih,
                                   .w_hh = w_hh,
                                   .b = b,
                                   .y = y,
                                   .reserve = reserve,
                                   .dy = y,
                                   .dhn = state,
                                   .dcn = state,
                                   .dx = x,
                                   .dh0 = state,
                                   .dc0 = state,
                                   .dw_ih = w_ih,
                                   .dw_hh = w_hh,
                                   .db = b},
                      {{"lengths", ragged(4, 5)}}, {"dy", "dhn", "dcn"},
                      {"dx", "dh0", "dc0", "dw_ih", "dw_hh", "db"});
    }
}

TEST(gradient, softmax) {
  for (const auto kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
    const auto x = f64({3, 7});
    expect_backward("softmax", SoftmaxForward{.kind = kind, .x = x, .y = x},
                    SoftmaxBackward{.kind = kind, .y = x, .dy = x, .dx = x}, {}, {"dy"}, {"dx"});
  }
}

TEST(gradient, mean) {
  expect_backward("mean", MeanForward{.x = f64({6}), .y = f64({1})},
                  MeanBackward{.dy = f64({1}), .dx = f64({6})}, {}, {"dy"}, {"dx"});
}

TEST(gradient, cross_entropy) {
  for (const float smoothing : {0.0f, 0.1f}) {
    CrossEntropy call{.label_smoothing = smoothing,
                      .x = f64({4, 5}),
                      .adjustment = f64({5}),
                      .targets = i32({4}),
                      .loss = f64({4}),
                      .d_x = f64({4, 5})};
    Tensor targets(Shape{4});
    targets(0) = 3, targets(1) = 0, targets(2) = -1, targets(3) = 4;
    const Values values = complete("cross_entropy", bound(call), {{"targets", targets}});
    const Function sum_of_losses = [&](const Values& at) {
      const Tensor loss = specified(call, at).at("loss");
      return dot(loss, Tensor(loss.shape(), 1));
    };
    expect_gradient("cross_entropy", values, sum_of_losses, {{"x", specified(call, values).at("d_x")}});
  }
}

TEST(gradient, ctc) {
  for (const auto input : {CtcInput::logits, CtcInput::log_probabilities}) {
    CtcLoss call{.input = input,
                 .x = f64({7, 4, 5}),
                 .labels = i32({4, 3}),
                 .label_lengths = i32({4}),
                 .input_lengths = i32({4}),
                 .loss = f64({4}),
                 .d_x = f64({7, 4, 5})};
    Tensor labels(Shape{4, 3}, 1), label_lengths(Shape{4}), input_lengths(Shape{4}, 7);
    label_lengths(0) = 3, label_lengths(1) = 2, label_lengths(2) = 0, label_lengths(3) = 1;
    labels(0, 1) = 2, labels(1, 0) = 4, input_lengths(1) = 5, input_lengths(3) = 1;
    const Values values =
        complete("ctc", bound(call),
                 {{"labels", labels}, {"label_lengths", label_lengths}, {"input_lengths", input_lengths}});
    const Function sum_of_losses = [&](const Values& at) {
      const Tensor loss = specified(call, at).at("loss");
      return dot(loss, Tensor(loss.shape(), 1));
    };
    expect_gradient("ctc", values, sum_of_losses, {{"x", specified(call, values).at("d_x")}});
  }
}

TEST(gradient, dropout_is_its_own_transpose) {
  const auto x = f64({3, 8});
  Dropout call{.rate = 0.4f, .seed = 1, .x = x, .counters = described(DType::i64, {2}), .y = x};
  const Values values = complete("dropout", bound(call), {{"counters", Tensor(Shape{2}, 3)}});
  const Values upstream = complete("upstream", bound(call), {{"counters", Tensor(Shape{2}, 3)}});
  const Function f = [&](const Values& at) { return dot(specified(call, at).at("y"), upstream.at("x")); };
  expect_gradient("dropout", values, f, {{"x", specified(call, upstream).at("y")}});
}

TEST(gradient, rearrangements_are_undone_by_their_inverses) {
  const auto image = f64({2, 3, 4, 5}), sequence = f64({5, 2, 12}), flat = f64({2, 60});
  ImageToSequence there{.x = image, .y = sequence};
  const Values values = complete("rearranged", bound(there), {});
  const auto same = [&](const Tensor& back) {
    return std::ranges::equal(back.values(), values.at("x").values());
  };
  const auto as_sequence = specified(there, values).at("y");
  EXPECT_TRUE(same(specified(SequenceToImage{.x = sequence, .y = image}, {{"x", as_sequence}}).at("y")));
  const auto as_flat = specified(Flatten{.x = image, .y = flat}, values).at("y");
  EXPECT_TRUE(same(specified(Unflatten{.x = flat, .y = image}, {{"x", as_flat}}).at("y")));
}

}  // namespace
}  // namespace scrawl::test
