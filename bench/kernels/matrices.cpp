/// Dense layers, products, softmax and losses.

#include <cmath>

#include "bench/kernels/named.h"
#include "bench/kernels/problem.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

// ------------------------------------------------------------------------------------------------- dense

struct Dense {
  int64_t rows, inputs, outputs;
  Numbers numbers;
  bool has_bias;
  double flops;
  Inputs values;

  explicit Dense(const Name& name)
      : rows(name.at("rows")),
        inputs(name.at("I")),
        outputs(name.at("O")),
        numbers(numbers_of(name)),
        has_bias(name.get("bias", 1) != 0),
        flops(2 * static_cast<double>(rows) * static_cast<double>(inputs * outputs)),
        values{.scale = {{"w", 1 / std::sqrt(static_cast<float>(inputs))}}} {}

  View x() const { return plain(numbers.storage, {rows, inputs}); }
  View w() const { return plain(numbers.storage, {outputs, inputs}); }
  View y() const { return plain(numbers.storage, {rows, outputs}); }
  View bias() const { return has_bias ? plain(DType::f32, {outputs}) : View{}; }
};

Name dense_name(const char* operation, int64_t rows, int64_t inputs, int64_t outputs,
                const Numbers& numbers) {
  Name name(operation, numbers.name);
  name.set("rows", rows).set("I", inputs).set("O", outputs);
  return name;
}

Activation activation_of(const Name& name) {
  const auto text = name.get("activation", "none");
  for (const auto one : {Activation::none, Activation::relu, Activation::sigmoid, Activation::tanh})
    if (name_of(one) == text) return one;
  throw UsageError("{}: activation: expected none, relu, sigmoid or tanh, got {}", name.text(), text);
}

Problem dense_forward(const Name& name) {
  const Dense d(name);
  return problem(
      name,
      DenseForward{.activation = activation_of(name), .x = d.x(), .w = d.w(), .b = d.bias(), .y = d.y()},
      d.values, d.flops);
}

Problem dense_data(const Name& name) {
  const Dense d(name);
  return problem(name, DenseBackwardData{.dy = d.y(), .w = d.w(), .dx = d.x()}, d.values, d.flops);
}

Problem dense_weight(const Name& name) {
  const Dense d(name);
  return problem(name,
                 DenseBackwardWeight{
                     .x = d.x(), .dy = d.y(), .dw = plain(DType::f32, {d.outputs, d.inputs}), .db = d.bias()},
                 {}, d.flops);
}

Problem gemm(const Name& name) {
  const auto m = name.at("M"), n = name.at("N"), k = name.at("K");
  const auto numbers = numbers_of(name);
  const auto is_transposed = [&](const char* key) { return name.get(key, 0) != 0; };
  const bool a = is_transposed("transpose_a"), b = is_transposed("transpose_b");
  return problem(name,
                 Gemm{.transpose_a = a ? Transpose::yes : Transpose::no,
                      .transpose_b = b ? Transpose::yes : Transpose::no,
                      .a = plain(numbers.storage, a ? Shape{k, m} : Shape{m, k}),
                      .b = plain(numbers.storage, b ? Shape{n, k} : Shape{k, n}),
                      .y = plain(numbers.storage, {m, n})},
                 {.scale = {{"b", 1 / std::sqrt(static_cast<float>(k))}}},
                 2 * static_cast<double>(m) * static_cast<double>(n * k));
}

// ------------------------------------------------------------------------------------- softmax and losses

/// "softmax" or "log_softmax", by the operation.
SoftmaxKind kind_of(const Name& name) {
  return name.operation().starts_with("log_") ? SoftmaxKind::log_softmax : SoftmaxKind::softmax;
}

View rows_of(const Name& name) { return plain(numbers_of(name).storage, {name.at("rows"), name.at("K")}); }

Problem softmax(const Name& name) {
  return problem(name, SoftmaxForward{.kind = kind_of(name), .x = rows_of(name), .y = rows_of(name)}, {}, 0);
}

Problem softmax_backward(const Name& name) {
  const auto y = rows_of(name);
  return problem(name, SoftmaxBackward{.kind = kind_of(name), .y = y, .dy = y, .dx = y}, {}, 0);
}

Problem cross_entropy(const Name& name) {
  const auto x = rows_of(name);
  const auto rows = x.shape[0], classes = x.shape[1];
  return problem(name,
                 CrossEntropy{.x = x,
                              .targets = plain(DType::i32, {rows}),
                              .loss = plain(DType::f32, {rows}),
                              .d_x = plain(DType::f32, x.shape)},
                 {.fill = {{"targets", [=](int64_t i) { return static_cast<float>(7 * i % classes); }}}}, 0);
}

/// x (rows, K), or (T, N, K), of which each of the last axis is a row.
Name rows_name(const std::string& operation, const Shape& x, const Numbers& numbers) {
  Name name(operation, plain_type(numbers));
  const auto classes = x[x.rank - 1];
  name.set("rows", classes > 0 ? x.count() / classes : 0).set("K", classes);
  return name;
}

}  // namespace

const std::map<std::string, Maker>& matrix_makers() {
  static const std::map<std::string, Maker> all{{"dense.forward", dense_forward},
                                                {"dense.backward_data", dense_data},
                                                {"dense.backward_weight", dense_weight},
                                                {"gemm", gemm},
                                                {"softmax.forward", softmax},
                                                {"softmax.backward", softmax_backward},
                                                {"log_softmax.forward", softmax},
                                                {"log_softmax.backward", softmax_backward},
                                                {"cross_entropy.gradient", cross_entropy}};
  return all;
}

Name name_of(const Gemm& c, const Numbers& t) {
  const auto yes = [](Transpose transpose) { return std::int64_t{transpose == Transpose::yes}; };
  const auto inner = c.transpose_a == Transpose::yes ? 0 : 1;
  Name name("gemm", t.name);
  name.set("M", c.y.shape[0]).set("N", c.y.shape[1]).set("K", c.a.shape[inner]);
  name.set_unless(int64_t{0}, "transpose_a", yes(c.transpose_a))
      .set_unless(int64_t{0}, "transpose_b", yes(c.transpose_b));
  return name;
}
Name name_of(const DenseForward& c, const Numbers& t) {
  auto name = dense_name("dense.forward", c.x.shape.count() / c.w.shape[1], c.w.shape[1], c.w.shape[0], t);
  if (c.activation != Activation::none) name.set("activation", name_of(c.activation));
  if (!c.b.present()) name.set("bias", 0);
  return name;
}
Name name_of(const DenseBackwardData& c, const Numbers& t) {
  return dense_name("dense.backward_data", c.dx.shape.count() / c.w.shape[1], c.w.shape[1], c.w.shape[0], t);
}
Name name_of(const DenseBackwardWeight& c, const Numbers& t) {
  auto name =
      dense_name("dense.backward_weight", c.x.shape.count() / c.dw.shape[1], c.dw.shape[1], c.dw.shape[0], t);
  if (!c.db.present()) name.set("bias", 0);
  return name;
}
Name name_of(const SoftmaxForward& c, const Numbers& t) {
  return rows_name(c.kind == SoftmaxKind::softmax ? "softmax.forward" : "log_softmax.forward", c.x.shape, t);
}
Name name_of(const SoftmaxBackward& c, const Numbers& t) {
  return rows_name(c.kind == SoftmaxKind::softmax ? "softmax.backward" : "log_softmax.backward", c.y.shape,
                   t);
}
Name name_of(const CrossEntropy& c, const Numbers& t) {
  return rows_name("cross_entropy.gradient", c.x.shape, t);
}

}  // namespace scrawl::bench
