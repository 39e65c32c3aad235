#include "tests/cases/gemm.h"

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Products = EveryBackend;

constexpr std::array turns{Transpose::no, Transpose::yes};

/// Calls f(name, call, K) for every product: case, type of inputs and result, transposition.
template <class F>
void each_gemm(F&& f) {
  for (const auto& c : gemm_cases)
    for (const auto turn_a : turns)
      for (const auto turn_b : turns)
        for (const auto type : storage_types)
          for (const auto y : storage_types) {
            if (y != type && y != DType::f32) continue;
            const bool a = turn_a == Transpose::yes, b = turn_b == Transpose::yes;
            f(fmt::format("gemm[M={},N={},K={}{}{},{},y={}]", c.m, c.n, c.k, a ? ",aT" : "", b ? ",bT" : "",
                          name_of(type), name_of(y)),
              Gemm{.transpose_a = turn_a,
                   .transpose_b = turn_b,
                   .a = described(type, a ? Shape{c.k, c.m} : Shape{c.m, c.k}),
                   .b = described(type, b ? Shape{c.n, c.k} : Shape{c.k, c.n}),
                   .y = described(y, {c.m, c.n})},
              static_cast<double>(c.k));
          }
}

Shape rows_of(const DenseCase& c, std::int64_t columns) {
  return c.steps == 0 ? Shape{c.rows, columns} : Shape{c.steps, c.rows, columns};
}

std::string name(std::string_view direction, const DenseCase& c, DType type) {
  return fmt::format("dense.{}[{},I={},O={},{}{},{}]", direction, to_string(rows_of(c, c.inputs)), c.inputs,
                     c.outputs, name_of(c.activation), c.bias == Optional::present ? ",bias" : "",
                     name_of(type));
}

template <class F>
void each_dense(F&& f) {
  for (const auto& c : dense_cases)
    for (const auto type : storage_types) f(c, type);
}

DenseForward forward(const DenseCase& c, DType type) {
  return {.activation = c.activation,
          .x = described(type, rows_of(c, c.inputs)),
          .w = described(type, {c.outputs, c.inputs}),
          .b = optional(c.bias, DType::f32, {c.outputs}),
          .y = described(type, rows_of(c, c.outputs))};
}

TEST_P(Products, gemm_agrees_with_the_reference) {
  each_gemm([&](const std::string& name, const Gemm& call, double terms) {
    expect_agreement(name, call, {}, sum_of_products(call, terms));
  });
}

TEST_P(Products, gemm_of_small_integers_is_exact) {
  // On devices: both sizes of tiles, both ways to fetch.
  static const std::vector<Setting> of_devices{{.memory = Memory::misaligned},
                                               {.selection = {.multiprocessors = 1}}};
  each_gemm([&](const std::string& name, const Gemm& call, double) {
    Gemm copy = call;
    expect_agreement(name, call, small_integers(name, bound(copy), {}), {},
                     target_of(backend()) ? &of_devices : nullptr);
  });
}

/// Tensor cores where f32 may be rounded to tf32: the usual tiles, and large ones.
const std::vector<Setting> tf32_settings{
    {.selection = {.f32_products = F32Products::tf32}},
    {.selection = {.f32_products = F32Products::tf32, .multiprocessors = 1}, .memory = Memory::misaligned}};

/// Each operand of a product is off by 2^-11 of itself.
template <class Call>
ToleranceRule rounded_products(const Call& linear, double terms) {
  return [=, exact = sum_of_products(linear, terms)](const Values& inputs, const Values& expected) {
    auto tolerances = exact(inputs, expected);
    for (auto& [name, magnitude] : specified(linear, absolute(inputs))) {
      auto& tolerance = tolerances.at(name);
      for (std::size_t i = 0; i < magnitude.values().size(); ++i)
        tolerance.absolute.values()[i] += 2 * 0x1p-11 * magnitude.values()[i];
    }
    return tolerances;
  };
}

using Tf32Products = EveryBackend;

TEST_P(Tf32Products, agree_with_the_reference) {
  each_gemm([&](const std::string& name, const Gemm& call, double terms) {
    if (call.a.type != DType::f32) return;
    expect_agreement(name + ".tf32", call, {}, rounded_products(call, terms), &tf32_settings);
    Gemm copy = call;
    expect_agreement(name + ".tf32.exact", call, small_integers(name, bound(copy), {}), {}, &tf32_settings);
  });
}

TEST_P(Products, dense_forward_agrees_with_the_reference) {
  each_dense([&](const DenseCase& c, DType type) {
    for (const auto phase : {KernelPhase::training, KernelPhase::inference}) {
      auto call = forward(c, type), linear = call;
      call.phase = phase;
      linear.activation = Activation::none;
      const bool is_curved = c.activation == Activation::sigmoid || c.activation == Activation::tanh;
      const double floor = is_curved ? 8 * unit_roundoff(DType::f32) : 0;
      const auto direction = phase == KernelPhase::training ? "forward" : "forward.inference";
      expect_agreement(name(direction, c, type), call, {},
                       sum_of_products(linear, static_cast<double>(c.inputs), floor));
    }
  });
}

TEST_P(Products, dense_forward_from_bf16_to_f32_agrees_with_the_reference) {
  for (const auto& c : dense_cases) {
    auto call = forward(c, DType::bf16);
    call.activation = Activation::none;
    call.y.type = DType::f32;
    expect_agreement(name("forward.f32", c, DType::bf16), call, {},
                     sum_of_products(call, static_cast<double>(c.inputs)));
  }
}

TEST_P(Products, dense_backward_data_agrees_with_the_reference) {
  each_dense([&](const DenseCase& c, DType type) {
    const DenseBackwardData call{.dy = described(type, rows_of(c, c.outputs)),
                                 .w = described(type, {c.outputs, c.inputs}),
                                 .dx = described(type, rows_of(c, c.inputs))};
    expect_agreement(name("backward_data", c, type), call, {},
                     sum_of_products(call, static_cast<double>(c.outputs)));
  });
}

TEST_P(Products, dense_backward_weight_agrees_with_the_reference) {
  each_dense([&](const DenseCase& c, DType type) {
    const DenseBackwardWeight call{.x = described(type, rows_of(c, c.inputs)),
                                   .dy = described(type, rows_of(c, c.outputs)),
                                   .dw = described(DType::f32, {c.outputs, c.inputs}),
                                   .db = optional(c.bias, DType::f32, {c.outputs})};
    expect_agreement(name("backward_weight", c, type), call, {},
                     sum_of_products(call, static_cast<double>(call.x.shape.count() / c.inputs)));
  });
}

INSTANTIATE_TEST_SUITE_P(on, Tf32Products, testing::ValuesIn(device_backends()), backend_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Tf32Products);
INSTANTIATE_TEST_SUITE_P(on, Products, testing::ValuesIn(backends_with<Gemm, DenseForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
