/// The reference against PyTorch: tests/golden/make_goldens.py made the values, in double.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/io/safetensors.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

/// The formulas are the same; only the order of sums differs.
constexpr double same_formula = 1e-11;
/// Parameters of calls (epsilon, momentum, betas) are f32, PyTorch's are double.
constexpr double f32_parameters = 1e-6;

struct Golden {
  nlohmann::json parameters;
  Values values;

  const Tensor& operator[](std::string_view name) const { return values.find(name)->second; }
  View like(std::string_view name, DType type = DType::f64) const {
    return described(type, (*this)[name].shape());
  }
  bool has(std::string_view name) const { return values.contains(name); }
};

/// The cases of a file, by name.
std::map<std::string, Golden> goldens(std::string_view family) {
  auto file = read_safetensors(fmt::format("{}/tests/golden/{}.safetensors", SCRAWL_SOURCE_DIR, family));
  std::map<std::string, Golden> cases;
  for (auto& [name, parameters] : file.metadata.items()) cases[name].parameters = parameters;
  for (auto& tensor : file.tensors) {
    const auto slash = tensor.name.find('/');
    cases.at(tensor.name.substr(0, slash)).values[tensor.name.substr(slash + 1)] =
        Tensor(make_view(tensor.bytes.data(), tensor.type, tensor.shape));
  }
  return cases;
}

/// |got - expected| <= relative * max |expected|, or * 1 if that is less.
void expect_close(std::string_view of, const Tensor& expected, const Tensor& got, double relative) {
  const Tolerance tolerance{.absolute = everywhere(relative * std::max(1.0, largest(expected)))};
  const auto [ratio, problem] = compare(std::string(of), expected, got, DType::f64, tolerance);
  EXPECT_THAT(problem, testing::IsEmpty());
}

void expect_close(std::string_view of, const Golden& golden, const Values& got,
                  std::initializer_list<std::string_view> names, double relative) {
  for (const auto name : names)
    expect_close(fmt::format("{}/{}", of, name), golden[name], got.find(name)->second, relative);
}

std::int64_t number(const Golden& golden, const char* parameter, int at) {
  return golden.parameters.at(parameter).at(static_cast<std::size_t>(at)).get<std::int64_t>();
}

TEST(golden, conv2d) {
  for (const auto& [name, g] : goldens("conv2d")) {
    const Conv2dParams params{.stride_h = number(g, "stride", 0),
                              .stride_w = number(g, "stride", 1),
                              .pad_top = number(g, "padding", 0),
                              .pad_left = number(g, "padding", 1),
                              .pad_bottom = number(g, "padding", 0),
                              .pad_right = number(g, "padding", 1),
                              .dilation_h = number(g, "dilation", 0),
                              .dilation_w = number(g, "dilation", 1),
                              .groups = g.parameters.at("groups").get<std::int64_t>()};
    const Conv2dForward forward{
        .params = params, .x = g.like("x"), .w = g.like("w"), .b = g.like("b"), .y = g.like("y")};
    const Conv2dBackwardData data{.params = params, .dy = g.like("y"), .w = g.like("w"), .dx = g.like("x")};
    const Conv2dBackwardWeight weight{
        .params = params, .x = g.like("x"), .dy = g.like("y"), .dw = g.like("w"), .db = g.like("b")};
    expect_close(name, g, specified(forward, g.values), {"y"}, same_formula);
    expect_close(name, g, specified(data, g.values), {"dx"}, same_formula);
    expect_close(name, g, specified(weight, g.values), {"dw", "db"}, same_formula);
  }
}

TEST(golden, pool) {
  for (const auto& [name, g] : goldens("pool")) {
    const bool is_max = g.parameters.at("kind") == "max";
    const PoolParams params{.kind = is_max ? PoolKind::max : PoolKind::average,
                            .window_h = number(g, "window", 0),
                            .window_w = number(g, "window", 1),
                            .stride_h = number(g, "stride", 0),
                            .stride_w = number(g, "stride", 1),
                            .pad_h = number(g, "padding", 0),
                            .pad_w = number(g, "padding", 1)};
    const auto argmax = is_max ? g.like("y", DType::u8) : View{};
    const PoolForward forward{.params = params, .x = g.like("x"), .y = g.like("y"), .argmax = argmax};
    const Values there = specified(forward, g.values);
    expect_close(name, g, there, {"y"}, same_formula);
    if (!g.has("dy")) continue;
    const PoolBackward backward{.params = params, .dy = g.like("y"), .argmax = argmax, .dx = g.like("x")};
    Values values = g.values;
    if (is_max) values["argmax"] = there.at("argmax");
    expect_close(name, g, specified(backward, values), {"dx"}, same_formula);
  }
}

TEST(golden, batch_norm) {
  for (const auto& [name, g] : goldens("batch_norm")) {
    const auto epsilon = g.parameters.at("epsilon").get<float>(),
               momentum = g.parameters.at("momentum").get<float>();
    const auto x = g.like("x"), c = g.like("gamma");
    const auto widths = g.has("widths") ? g.like("widths", DType::i32) : View{};
    const BatchNormForward forward{.epsilon = epsilon,
                                   .x = x,
                                   .gamma = c,
                                   .beta = c,
                                   .y = x,
                                   .mean = c,
                                   .variance = c,
                                   .widths = widths};
    const Values there = specified(forward, g.values);
    expect_close(name, g, there, {"y"}, f32_parameters);

    Values onward = g.values;
    onward["mean"] = there.at("mean");
    onward["variance"] = there.at("variance");
    const BatchNormBackward backward{.epsilon = epsilon,
                                     .x = x,
                                     .dy = x,
                                     .gamma = c,
                                     .beta = c,
                                     .mean = c,
                                     .variance = c,
                                     .dx = x,
                                     .dgamma = c,
                                     .dbeta = c,
                                     .widths = widths};
    expect_close(name, g, specified(backward, onward), {"dx", "dgamma", "dbeta"}, f32_parameters);

    const BatchNormInference inference{.epsilon = epsilon,
                                       .x = x,
                                       .gamma = c,
                                       .beta = c,
                                       .mean = c,
                                       .variance = c,
                                       .y = x,
                                       .widths = widths};
    Values stored = g.values;
    stored["mean"] = g["running_mean"];
    stored["variance"] = g["running_var"];
    expect_close(name + "/y_eval", g["y_eval"], specified(inference, stored).at("y"), f32_parameters);

    for (const auto moment : {RunningUpdate::Moment::mean, RunningUpdate::Moment::variance}) {
      const bool is_mean = moment == RunningUpdate::Moment::mean;
      const RunningUpdate update{.momentum = momentum,
                                 .moment = moment,
                                 .count = x.shape.count() / x.shape[1],
                                 .height = x.shape[2],
                                 .running = c,
                                 .value = c,
                                 .widths = widths,
                                 .control = described(DType::f64, {Control::count})};
      Values values = g.values;
      values["running"] = g[is_mean ? "running_mean" : "running_var"];
      values["value"] = there.at(is_mean ? "mean" : "variance");
      values["control"] = Tensor(Shape{Control::count});
      expect_close(name + "/running", g[is_mean ? "new_running_mean" : "new_running_var"],
                   specified(update, values).at("running"), f32_parameters);
    }
  }
}

TEST(golden, activation) {
  const std::map<std::string, Activation> kinds{{"activation.relu", Activation::relu},
                                                {"activation.sigmoid", Activation::sigmoid},
                                                {"activation.tanh", Activation::tanh}};
  for (const auto& [name, g] : goldens("activation")) {
    const auto x = g.like("x");
    expect_close(name, g, specified(ActivationForward{.kind = kinds.at(name), .x = x, .y = x}, g.values),
                 {"y"}, same_formula);
    expect_close(name, g,
                 specified(ActivationBackward{.kind = kinds.at(name), .y = x, .dy = x, .dx = x}, g.values),
                 {"dx"}, same_formula);
  }
}

TEST(golden, dense) {
  for (const auto& [name, g] : goldens("dense")) {
    const auto x = g.like("x"), w = g.like("w"), b = g.like("b"), y = g.like("y");
    expect_close(name, g, specified(DenseForward{.x = x, .w = w, .b = b, .y = y}, g.values), {"y"},
                 same_formula);
    expect_close(name, g, specified(DenseBackwardData{.dy = y, .w = w, .dx = x}, g.values), {"dx"},
                 same_formula);
    expect_close(name, g, specified(DenseBackwardWeight{.x = x, .dy = y, .dw = w, .db = b}, g.values),
                 {"dw", "db"}, same_formula);
  }
}

TEST(golden, lstm) {
  for (const auto& [name, g] : goldens("lstm")) {
    const auto x = g.like("x"), w_ih = g.like("w_ih"), w_hh = g.like("w_hh"), b = g.like("b"),
               h = g.like("h0"), y = g.like("y");
    const auto lengths = g.like("lengths", DType::i32);
    const LstmForward forward{.x = x,
                              .lengths = lengths,
                              .h0 = h,
                              .c0 = h,
                              .w_ih = w_ih,
                              .w_hh = w_hh,
                              .b = b,
                              .y = y,
                              .hn = h,
                              .cn = h,
                              .reserve = described(DType::u8, {0})};
    const Values there = specified(forward, g.values);
    expect_close(name, g, there, {"y", "hn", "cn"}, same_formula);
    Values onward = g.values;
    onward["reserve"] = there.at("reserve");
    const LstmBackward backward{.x = x,
                                .lengths = lengths,
                                .h0 = h,
                                .c0 = h,
                                .w_ih = w_ih,
                                .w_hh = w_hh,
                                .b = b,
                                .y = y,
                                .reserve = described(DType::u8, {0}),
                                .dy = y,
                                .dhn = h,
                                .dcn = h,
                                .dx = x,
                                .dh0 = h,
                                .dc0 = h,
                                .dw_ih = w_ih,
                                .dw_hh = w_hh,
                                .db = b};
    expect_close(name, g, specified(backward, onward), {"dx", "dh0", "dc0", "dw_ih", "dw_hh", "db"},
                 same_formula);
  }
}

TEST(golden, softmax) {
  for (const auto& [name, g] : goldens("softmax")) {
    const auto kind = g.parameters.at("log").get<bool>() ? SoftmaxKind::log_softmax : SoftmaxKind::softmax;
    const auto x = g.like("x");
    expect_close(name, g, specified(SoftmaxForward{.kind = kind, .x = x, .y = x}, g.values), {"y"},
                 same_formula);
    if (!g.has("dy")) continue;
    expect_close(name, g, specified(SoftmaxBackward{.kind = kind, .y = x, .dy = x, .dx = x}, g.values),
                 {"dx"}, same_formula);
  }
}

TEST(golden, cross_entropy) {
  for (const auto& [name, g] : goldens("cross_entropy")) {
    const CrossEntropy call{.x = g.like("x"),
                            .targets = g.like("targets", DType::i32),
                            .loss = g.like("losses"),
                            .d_x = g.like("x")};
    const Values got = specified(call, g.values);
    expect_close(name + "/losses", g["losses"], got.at("loss"), same_formula);
    const auto counted =
        std::ranges::count_if(g["targets"].values(), [](double target) { return target >= 0; });
    Tensor dx = got.at("d_x");  // PyTorch's is of the mean
    for (double& value : dx.values()) value /= static_cast<double>(counted);
    expect_close(name + "/dx", g["dx"], dx, same_formula);
  }
}

TEST(golden, ctc) {
  for (const auto& [name, g] : goldens("ctc")) {
    const auto samples = g.like("loss");
    const CtcLoss call{
        .blank = g.parameters.at("blank").get<std::int32_t>(),
        .infeasible = g.parameters.at("zero_infinity").get<bool>() ? Infeasible::zero : Infeasible::infinite,
        .x = g.like("x"),
        .labels = g.like("labels", DType::i32),
        .label_lengths = g.like("label_lengths", DType::i32),
        .input_lengths = g.like("input_lengths", DType::i32),
        .loss = samples,
        .d_x = g.like("x")};
    const Values got = specified(call, g.values);
    expect_close(name, g, got, {"loss"}, same_formula);
    if (!g.has("dx")) continue;
    Tensor dx = got.at("d_x");
    for (std::size_t i = 0; i < dx.values().size(); ++i)
      dx.values()[i] *=
          g["dloss"]
              .values()[i / static_cast<std::size_t>(dx.extent(2)) % static_cast<std::size_t>(dx.extent(1))];
    expect_close(name + "/dx", g["dx"], dx, 1e-10);  // sums of a thousand log-probabilities
  }
}

OptimizerStep optimizer(const nlohmann::json& p, const View& w) {
  static const std::map<std::string, OptimizerKind> kinds{
      {"sgd", OptimizerKind::sgd}, {"adam", OptimizerKind::adam}, {"adamw", OptimizerKind::adamw}};
  OptimizerStep step{
      .kind = kinds.at(p.at("algorithm")),
      .momentum = p.value("momentum", 0.0f),
      .nesterov = p.value("nesterov", false) ? OptimizerStep::Nesterov::yes : OptimizerStep::Nesterov::no};
  if (p.contains("betas"))
    step.beta1 = p.at("betas").at(0), step.beta2 = p.at("betas").at(1), step.epsilon = p.at("eps");
  (step.kind == OptimizerKind::adamw ? step.weight_decay : step.l2) = p.value("weight_decay", 0.0f);
  step.decay = {1};
  step.w = step.g = step.m = {w};
  if (step.kind != OptimizerKind::sgd) step.v = {w};
  step.control = described(DType::f64, {Control::count});
  return step;
}

TEST(golden, optimizer) {
  for (const auto& [name, g] : goldens("optimizer")) {
    const auto step = optimizer(g.parameters, g.like("p0"));
    const auto count = static_cast<std::size_t>(g["p0"].extent(0));
    Values values{{"w.0", g["p0"]}, {"m.0", Tensor(g["p0"].shape())}, {"v.0", Tensor(g["p0"].shape())}};
    Tensor control(Shape{Control::count});
    control(Control::learning_rate) = g.parameters.at("lr").get<double>();
    control(Control::gradient_scale) = 1;
    values["control"] = control;
    const auto row = [&](std::string_view tensor, std::size_t t) {
      Tensor values_of_step(g["p0"].shape());
      std::ranges::copy(g[tensor].values().subspan(t * count, count), values_of_step.values().begin());
      return values_of_step;
    };
    for (std::size_t t = 0; t < 3; ++t) {
      values["g.0"] = row("g", t);
      for (auto& [updated, tensor] : specified(step, values)) values[updated] = tensor;
      for (auto& [updated, tensor] : specified(StepEnd{.control = step.control}, values))
        values[updated] = tensor;
      expect_close(fmt::format("{}/p after {} steps", name, t + 1), row("p", t), values.at("w.0"),
                   f32_parameters);
    }
    if (g.has("momentum")) expect_close(name + "/momentum", g["momentum"], values.at("m.0"), f32_parameters);
    if (g.has("v")) expect_close(name + "/v", g["v"], values.at("v.0"), f32_parameters);
  }
}

TEST(golden, gradient_norm) {
  for (const auto& [name, g] : goldens("gradient_norm")) {
    const GradientNorm call{.clip = g.parameters.at("max_norm").get<float>(),
                            .g = {g.like("a"), g.like("b")},
                            .control = described(DType::f64, {Control::count})};
    Tensor control(Shape{Control::count});
    control(Control::loss_scale) = 1;
    const Tensor after =
        specified(call, {{"g.0", g["a"]}, {"g.1", g["b"]}, {"control", control}}).at("control");
    EXPECT_NEAR(after(Control::gradient_norm), g["norm"](0), same_formula);
    Tensor clipped = g["a"];
    for (double& value : clipped.values()) value *= after(Control::gradient_scale);
    expect_close(name, g["a_clipped"], clipped, f32_parameters);  // PyTorch adds 1e-6 to the norm
  }
}

}  // namespace
}  // namespace scrawl::test
