#include <algorithm>
#include <climits>
#include <cstring>

#include "tests/cases/ctc.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Ctc = EveryBackend;

std::string name(const CtcCase& c, std::string_view variation, DType type) {
  return fmt::format("ctc[{},T={},N={},K={}{},{}]", c.name, c.steps, c.labels.size(), c.classes, variation,
                     name_of(type));
}

std::int64_t longest(const CtcCase& c) {
  std::size_t most = 1;
  for (const auto& label : c.labels) most = std::max(most, label.size());
  return static_cast<std::int64_t>(most);
}

CtcLoss loss(const CtcCase& c, CtcInput input, DType type) {
  const auto samples = static_cast<std::int64_t>(c.labels.size());
  const Shape x{c.steps, samples, c.classes};
  return {.blank = c.blank,
          .input = input,
          .x = described(type, x),
          .labels = described(DType::i32, {samples, longest(c)}),
          .label_lengths = described(DType::i32, {samples}),
          .input_lengths = described(DType::i32, {samples}),
          .loss = described(DType::f32, {samples}),
          .d_x = described(DType::f32, x)};
}

/// Labels padded with what is no class at all.
Values inputs(std::string_view of, const CtcCase& c, CtcInput input, DType type) {
  auto call = loss(c, input, type);
  const auto samples = static_cast<std::int64_t>(c.labels.size());
  Tensor labels(Shape{samples, longest(c)}, INT_MAX), label_lengths(Shape{samples}),
      input_lengths(Shape{samples}, static_cast<double>(c.steps));
  for (std::int64_t n = 0; n < samples; ++n) {
    const auto& label = c.labels[static_cast<std::size_t>(n)];
    label_lengths(n) = static_cast<double>(label.size());
    for (std::size_t i = 0; i < label.size(); ++i) labels(n, static_cast<std::int64_t>(i)) = label[i];
    if (!c.input_lengths.empty()) input_lengths(n) = c.input_lengths[static_cast<std::size_t>(n)];
  }
  Values values =
      complete(of, bound(call),
               {{"labels", labels}, {"label_lengths", label_lengths}, {"input_lengths", input_lengths}});
  for (double& x : values.at("x").values()) x *= c.scale;
  if (input == CtcInput::log_probabilities) {
    const SoftmaxForward normalise{.kind = SoftmaxKind::log_softmax, .x = call.x, .y = call.x};
    values["x"] = specified(normalise, {{"x", values.at("x")}}).at("y");
  }
  return complete(of, bound(call), values);
}

/// 1e-5 of the loss; probabilities to 1e-5, and what a long chain of f32 sums adds to a posterior.
Tolerances tolerances(const Values& values, const Values& expected) {
  const auto steps = static_cast<double>(values.at("x").extent(0));
  Tensor loss = expected.at("loss");
  for (double& value : loss.values()) value = std::isfinite(value) ? 1e-5 * (1 + std::abs(value)) : 0;
  return {{"loss", {.ulps = 2, .absolute = loss}},
          {"d_x", {.ulps = 2, .absolute = everywhere(1e-5 * std::max(1.0, steps / 64))}}};
}

template <class F>
void each_case(F&& f) {
  for (const auto& c : ctc_cases())
    for (const auto input : {CtcInput::logits, CtcInput::log_probabilities})
      for (const auto type : storage_types) {
        const bool is_long = longest(c) > 100;  // the reference takes its time
        if (is_long && (input != CtcInput::logits || type != DType::f32)) continue;
        f(c, input, type, name(c, input == CtcInput::logits ? ",logits" : ",log_probabilities", type));
      }
}

TEST_P(Ctc, loss_and_gradient_agree_with_the_reference) {
  each_case([&](const CtcCase& c, CtcInput input, DType type, const std::string& of) {
    expect_agreement(of, loss(c, input, type), inputs(of, c, input, type), tolerances);
  });
}

TEST_P(Ctc, loss_alone_agrees_with_the_reference) {
  each_case([&](const CtcCase& c, CtcInput input, DType type, const std::string& of) {
    auto call = loss(c, input, type);
    call.d_x = {};
    expect_agreement(of + ".loss", call, inputs(of, c, input, type),
                     [](const Values& values, const Values& expected) {
                       Values both = expected;
                       both["d_x"] = {};
                       return tolerances(values, both);
                     });
  });
}

TEST_P(Ctc, infeasible_samples_are_zeroed_on_request) {
  each_case([&](const CtcCase& c, CtcInput input, DType type, const std::string& of) {
    auto call = loss(c, input, type);
    call.infeasible = Infeasible::zero;
    expect_agreement(of + ".zero", call, inputs(of, c, input, type), tolerances);
  });
}

TEST_P(Ctc, each_frames_gradient_sums_to_zero) {
  if (!has<CtcLoss>()) GTEST_SKIP() << "no CTC here";
  for (const auto& c : ctc_cases()) {
    const auto of = name(c, ",frames", DType::f32);
    const auto observed = observe(backend(), setting(), loss(c, CtcInput::logits, DType::f32),
                                  inputs(of, c, CtcInput::logits, DType::f32));
    const Tensor& d_x = observed.outputs.at("d_x");
    for (std::int64_t t = 0; t < d_x.extent(0); ++t)
      for (std::int64_t n = 0; n < d_x.extent(1); ++n) {
        double sum = 0;
        for (std::int64_t k = 0; k < d_x.extent(2); ++k) sum += d_x(t, n, k);
        ASSERT_NEAR(sum, 0, 1e-4) << of << " frame " << t << " of sample " << n;
      }
  }
}

TEST_P(Ctc, one_samples_values_change_no_bit_of_another) {
  if (!has<CtcLoss>()) GTEST_SKIP() << "no CTC here";
  const CtcCase c{"isolation", 20, 11, {cycle(5, 11), cycle(8, 11), {2, 2, 2}, {}, cycle(3, 11)}};
  const auto of = name(c, "", DType::f32);
  const auto call = loss(c, CtcInput::logits, DType::f32);
  const Values calm = inputs(of, c, CtcInput::logits, DType::f32);
  const auto expected = observe(backend(), setting(), call, calm).outputs;
  for (const double extreme : {double{NAN}, double{INFINITY}, -double{INFINITY}, -1e30, 1e30}) {
    Values wild = calm;
    for (std::int64_t t = 3; t < 20; t += 4)
      for (std::int64_t k = 0; k < 11; k += 2) wild["x"](t, 1, k) = extreme;
    const auto got = observe(backend(), setting(), call, wild).outputs;
    for (std::int64_t n = 0; n < 5; ++n) {
      if (n == 1) continue;
      EXPECT_EQ(expected.at("loss")(n), got.at("loss")(n)) << extreme << " reached sample " << n;
      for (std::int64_t t = 0; t < 20; ++t)
        for (std::int64_t k = 0; k < 11; ++k)
          ASSERT_EQ(expected.at("d_x")(t, n, k), got.at("d_x")(t, n, k))
              << extreme << " reached sample " << n;
    }
  }
}

TEST_P(Ctc, nan_in_a_sample_makes_its_loss_nan) {
  if (!has<CtcLoss>()) GTEST_SKIP() << "no CTC here";
  const CtcCase c{"nan", 6, 5, {{1, 2}, {3}}};
  const auto of = name(c, "", DType::f32);
  for (const auto input : {CtcInput::logits, CtcInput::log_probabilities}) {
    Values values = inputs(of, c, input, DType::f32);
    for (std::int64_t k = 0; k < 5; ++k) values["x"](2, 0, k) = NAN;
    const auto got = observe(backend(), setting(), loss(c, input, DType::f32), values).outputs;
    EXPECT_TRUE(std::isnan(got.at("loss")(0)));
    EXPECT_TRUE(std::isfinite(got.at("loss")(1)));
  }
}

TEST_P(Ctc, activations_of_minus_1e30_forbid_a_class_without_harm) {
  const CtcCase c{"forbidden", 12, 6, {{1, 2, 2}, {3}, {4, 1}}};
  const auto of = name(c, "", DType::f32);
  for (const double forbidden : {-1e30, -double{INFINITY}}) {
    Values values = inputs(of, c, CtcInput::logits, DType::f32);
    for (std::int64_t t = 0; t < 12; ++t)
      for (std::int64_t n = 0; n < 3; ++n) {
        values["x"](t, n, 5) = forbidden;                  // used by no label
        if (t % 3 == 1) values["x"](t, n, 0) = forbidden;  // the blank, now and then
      }
    expect_agreement(fmt::format("{}.{}", of, forbidden), loss(c, CtcInput::logits, DType::f32), values,
                     tolerances);
  }
}

TEST_P(Ctc, a_label_of_probability_zero_counts_as_infeasible) {
  const CtcCase c{"impossible", 12, 6, {{1, 2, 2}, {3}, {4, 1}}};
  const auto of = name(c, "", DType::f32);
  for (const auto input : {CtcInput::logits, CtcInput::log_probabilities})
    for (const auto infeasible : {Infeasible::infinite, Infeasible::zero}) {
      auto call = loss(c, input, DType::f32);
      call.infeasible = infeasible;
      Values values = inputs(of, c, input, DType::f32);
      for (std::int64_t t = 0; t < 12; ++t) values["x"](t, 1, 3) = -INFINITY;
      expect_agreement(fmt::format("{}.{}", of, infeasible == Infeasible::zero ? "zero" : "infinite"), call,
                       values, tolerances);
    }
}

INSTANTIATE_TEST_SUITE_P(on, Ctc, testing::ValuesIn(backends_with<CtcLoss>()), backend_name);

}  // namespace
}  // namespace scrawl::test
