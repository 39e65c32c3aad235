#include "tests/cases/lstm.h"

#include <cstring>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Lstm = EveryBackend;

std::string name(std::string_view direction, const LstmCase& c, DType type) {
  return fmt::format("lstm.{}[T={},N={},I={},H={},D={}{}{},{}]", direction, c.steps, c.samples, c.inputs,
                     c.hidden, c.directions, c.lengths == Optional::present ? ",lengths" : "",
                     c.states == States::given ? ",states" : "", name_of(type));
}

LstmForward forward(const LstmCase& c, DType type) {
  const Shape states{c.directions, c.samples, c.hidden};
  const auto given = c.states == States::given ? Optional::present : Optional::absent;
  return {.x = described(type, {c.steps, c.samples, c.inputs}),
          .lengths = optional(c.lengths, DType::i32, {c.samples}),
          .h0 = optional(given, type, states),
          .c0 = optional(given, DType::f32, states),
          .w_ih = described(type, {c.directions, 4 * c.hidden, c.inputs}),
          .w_hh = described(type, {c.directions, 4 * c.hidden, c.hidden}),
          .b = described(DType::f32, {c.directions, 4 * c.hidden}),
          .y = described(type, {c.steps, c.samples, c.directions * c.hidden}),
          .hn = optional(given, type, states),
          .cn = optional(given, DType::f32, states),
          .reserve = described(DType::u8, {0})};
}

LstmBackward backward(const LstmForward& f) {
  const auto gradient = [](View view) {
    if (view.present()) view.type = DType::f32;
    return view;
  };
  return {.x = f.x,
          .lengths = f.lengths,
          .h0 = f.h0,
          .c0 = f.c0,
          .w_ih = f.w_ih,
          .w_hh = f.w_hh,
          .b = f.b,
          .y = f.y,
          .reserve = f.reserve,
          .dy = f.y,
          .dhn = f.hn,
          .dcn = f.cn,
          .dx = f.x,
          .dh0 = f.h0,
          .dc0 = f.c0,
          .dw_ih = gradient(f.w_ih),
          .dw_hh = gradient(f.w_hh),
          .db = f.b};
}

/// Weights of the size that trained layers have, so that gates do not saturate; ragged lengths.
Values inputs(std::string_view of, const LstmCase& c, DType type) {
  auto call = forward(c, type);
  Values values = complete(of, bound(call), {{"lengths", ragged(c.samples, c.steps)}});
  const double scale = 1 / std::sqrt(static_cast<double>(c.inputs + c.hidden));
  for (const char* weights : {"w_ih", "w_hh"})
    for (double& value : values.at(weights).values()) value *= scale;
  return complete(of, bound(call), values);
}

/// Each step stores h in the storage type, and later steps read it. What they make of its rounding grows
/// with the root of the steps and shrinks with the forget gates: by norm.
double roundoff(DType type) {
  return type == DType::f32 ? 64 * unit_roundoff(type) : 4 * unit_roundoff(type);
}

Tolerances by_norms(const Values& expected, DType type) {
  Tolerances tolerances;
  for (const auto& [output, tensor] : expected) tolerances[output] = by_norm(roundoff(type), tensor);
  return tolerances;
}

template <class F>
void each_case(F&& f) {
  for (const auto& c : lstm_cases)
    for (const auto type : storage_types) f(c, type);
}

TEST_P(Lstm, forward_agrees_with_the_reference) {
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("forward", c, type);
    expect_agreement(of, forward(c, type), inputs(of, c, type),
                     [&](const Values&, const Values& expected) { return by_norms(expected, type); });
  });
}

TEST_P(Lstm, forward_for_inference_agrees_with_the_reference) {
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("forward.inference", c, type);
    auto call = forward(c, type);
    call.reserve = {};
    expect_agreement(of, call, inputs(of, c, type),
                     [&](const Values&, const Values& expected) { return by_norms(expected, type); });
  });
}

/// Forward, then backward from what forward left in y and reserve, which only its own backend can read.
struct Pass {
  Values forward, backward;
  std::vector<std::string> problems;
};

Pass pass(const Backend& table, const Setting& setting, const LstmForward& call, const Values& values) {
  auto there = observe(table, setting, call, values);
  Values onward = values;
  onward["y"] = there.outputs.at("y");
  onward["reserve"] = there.outputs.at("reserve");
  auto back = observe(table, setting, backward(call), onward);
  there.problems.insert(there.problems.end(), back.problems.begin(), back.problems.end());
  return {there.outputs, back.outputs, there.problems};
}

/// The same by the reference, in double.
Values specified_backward(const LstmForward& call, Values values) {
  const Values outputs = specified(call, values);
  values["y"] = outputs.at("y");
  values["reserve"] = outputs.at("reserve");
  auto back = backward(call);
  back.reserve = described(DType::u8, outputs.at("reserve").shape());
  return specified(back, values);
}

/// Values of both passes.
Values both(const std::string& of, const LstmCase& c, DType type) {
  auto back = backward(forward(c, type));
  Values values = inputs(of, c, type);
  back.reserve = back.y = {};
  return complete(of, bound(back), values);
}

TEST_P(Lstm, backward_agrees_with_the_reference) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("backward", c, type);
    if (!selected(of)) return;
    const Values values = both(of, c, type);
    const Values expected = specified_backward(forward(c, type), values);
    auto call = backward(forward(c, type));
    Report report;
    for (const auto& setting : settings()) {
      if (setting.selection.kernels == KernelSet::vendor || setting.images == Images::native) continue;
      const Pass got = pass(backend(), setting, forward(c, type), values);
      report.problems.insert(report.problems.end(), got.problems.begin(), got.problems.end());
      judge(bound(call), expected, got.backward, by_norms(expected, type),
            fmt::format("{} on {} with {}", of, backend().name, to_string(setting)), report);
    }
    for (const auto& problem : report.problems) ADD_FAILURE() << problem << "\n  repeat: " << repro(of);
  });
}

/// Whether samples other than `n` have the same bits in both; padding, and what n's neighbours see of it.
bool same_bits(const Tensor& a, const Tensor& b, std::int64_t sample_axis_extent, std::int64_t sample) {
  const auto columns = a.extent(2);
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    if (static_cast<std::int64_t>(i) / columns % sample_axis_extent == sample) continue;
    if (std::memcmp(&a.values()[i], &b.values()[i], sizeof(double)) != 0) return false;
  }
  return true;
}

TEST_P(Lstm, padding_changes_no_bit) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  for (const auto type : storage_types) {
    const LstmCase c{7, 5, 19, 18, 2, Optional::present, States::given};
    const auto of = name("padding", c, type);
    const Values values = both(of, c, type);
    Values padded = values;
    for (std::int64_t n = 0; n < c.samples; ++n)
      for (auto t = static_cast<std::int64_t>(values.at("lengths")(n)); t < c.steps; ++t) {
        for (std::int64_t i = 0; i < c.inputs; ++i) padded["x"](t, n, i) = NAN;
        for (std::int64_t j = 0; j < 2 * c.hidden; ++j) padded["dy"](t, n, j) = INFINITY;
      }
    const Setting setting = settings().front();
    const Pass clean = pass(backend(), setting, forward(c, type), values);
    const Pass dirty = pass(backend(), setting, forward(c, type), padded);
    for (const auto& [output, tensor] : clean.backward)
      EXPECT_TRUE(std::ranges::equal(tensor.values(), dirty.backward.at(output).values()))
          << of << ": " << output;
    for (const char* output : {"y", "hn", "cn"})
      EXPECT_TRUE(std::ranges::equal(clean.forward.at(output).values(), dirty.forward.at(output).values()))
          << of << ": " << output;
  }
}

TEST_P(Lstm, extreme_values_of_one_sample_change_no_bit_of_another) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  for (const auto type : storage_types) {
    const LstmCase c{4, 6, 16, 17, 2};
    const auto of = name("extreme", c, type);
    const Values values = both(of, c, type);
    const std::int64_t sample = 2;
    for (const double extreme : {1e30, -1e30, double{NAN}}) {
      Values changed = values;
      for (std::int64_t t = 0; t < c.steps; ++t)
        for (std::int64_t i = 0; i < c.inputs; ++i) changed["x"](t, sample, i) = extreme;
      const Setting setting = settings().front();
      const Pass calm = pass(backend(), setting, forward(c, type), values);
      const Pass wild = pass(backend(), setting, forward(c, type), changed);
      EXPECT_TRUE(same_bits(calm.forward.at("y"), wild.forward.at("y"), c.samples, sample))
          << of << " " << extreme;
      EXPECT_TRUE(same_bits(calm.backward.at("dx"), wild.backward.at("dx"), c.samples, sample))
          << of << " " << extreme;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(on, Lstm, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace scrawl::test
