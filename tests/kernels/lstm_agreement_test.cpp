#include "tests/cases/lstm.h"

#include <gmock/gmock.h>

#include <cstring>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

class Lstm : public EveryBackend {
 protected:
  /// Calls f with each case in each type. Devices take long ones in f32 alone: for simt, many steps are many
  /// launches.
  template <class F>
  void each_case(F&& f) const {
    constexpr std::int64_t long_steps = 20;
    for (const auto& c : lstm_cases)
      for (const auto type : storage_types)
        if (c.steps < long_steps || type == DType::f32 || !target_of(backend())) f(c, type);
  }

  /// Calls f with each type that the backend stores, and hidden sizes beside and on multiples of 16: on
  /// devices, one variant each.
  template <class F>
  void each_type_and_hidden(std::int64_t beside, std::int64_t on, F&& f) const {
    for (const auto type : storage_types)
      for (const auto hidden : {beside, on})
        if (stores(backend(), type)) f(type, hidden);
  }
};

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

TEST_P(Lstm, forward_agrees_with_the_reference) {
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("forward", c, type);
    expect_agreement(of, forward(c, type), inputs(of, c, type),
                     [&](const Values&, const Values& expected) { return by_norms(expected, type); });
  });
}

TEST_P(Lstm, forward_for_inference_agrees_with_the_reference) {
  const std::vector<Setting> usual{setting()};
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("forward.inference", c, type);
    auto call = forward(c, type);
    call.reserve = {};
    expect_agreement(
        of, call, inputs(of, c, type),
        [&](const Values&, const Values& expected) { return by_norms(expected, type); },
        target_of(backend()) ? &usual : nullptr);
  });
}

/// Forward, then backward from what forward left in y and reserve, which only its own backend can read.
struct Pass {
  Values forward, backward;
  std::vector<std::string> problems;
};

/// Whether a set of kernels has the call. Libraries' need not; what they have forward, they have backward.
bool takes(const Backend& table, const Setting& setting, LstmForward call) {
  try {
    table.lstm_forward(call, setting.selection);
    return true;
  } catch (const Unsupported&) {
    if (setting.selection.kernels != KernelSet::vendor) throw;
    return false;
  }
}

/// The usual kernels, and libraries' where they have the call.
std::vector<Setting> kernel_sets(const Backend& table, const LstmForward& call) {
  std::vector<Setting> sets{settings(table).front()};
  const auto vendor = std::ranges::find(settings(table), KernelSet::vendor,
                                        [](const Setting& s) { return s.selection.kernels; });
  if (vendor != settings(table).end() && takes(table, *vendor, call)) sets.push_back(*vendor);
  return sets;
}

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

/// Fails the test unless backward agrees with the reference under each of these settings.
void expect_backward_agrees(const Backend& table, const LstmCase& c, DType type,
                            const std::vector<Setting>& under) {
  const auto of = name("backward", c, type);
  if (!selected(of) || !stores(table, type)) return;
  const Values values = both(of, c, type);
  const Values expected = specified_backward(forward(c, type), values);
  auto call = backward(forward(c, type));
  Report report;
  for (const auto& setting : under) {
    if (setting.images == Images::native || setting.memory == Memory::in_place) continue;  // not its matter
    if (!takes(table, setting, forward(c, type))) continue;
    const Pass got = pass(table, setting, forward(c, type), values);
    report.problems.insert(report.problems.end(), got.problems.begin(), got.problems.end());
    judge(bound(call), expected, got.backward, by_norms(expected, type),
          fmt::format("{} on {} with {}", of, table.name, to_string(setting)), report);
  }
  for (const auto& problem : report.problems) ADD_FAILURE() << problem << "\n  repeat: " << repro(of);
}

TEST_P(Lstm, backward_agrees_with_the_reference) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  each_case([&](const LstmCase& c, DType type) {
    expect_backward_agrees(backend(), c, type, settings(backend()));
  });
}

TEST_P(Lstm, wide_layers_agree_with_the_reference) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  const std::vector<Setting> usual{setting()};
  for (const auto& c : wide_lstm_cases) {
    const auto type = DType::bf16;
    const auto of = name("forward", c, type);
    expect_agreement(
        of, forward(c, type), inputs(of, c, type),
        [&](const Values&, const Values& expected) { return by_norms(expected, type); }, &usual);
    expect_backward_agrees(backend(), c, type, usual);
  }
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
  each_type_and_hidden(18, 48, [&](DType type, std::int64_t hidden) {
    const LstmCase c{7, 5, 19, hidden, 2, Optional::present, States::given};
    const auto of = name("padding", c, type);
    const Values values = both(of, c, type);
    Values padded = values;
    for (std::int64_t n = 0; n < c.samples; ++n)
      for (auto t = static_cast<std::int64_t>(values.at("lengths")(n)); t < c.steps; ++t) {
        for (std::int64_t i = 0; i < c.inputs; ++i) padded["x"](t, n, i) = NAN;
        for (std::int64_t j = 0; j < 2 * c.hidden; ++j) padded["dy"](t, n, j) = INFINITY;
      }
    for (const Setting& setting : kernel_sets(backend(), forward(c, type))) {
      const Pass clean = pass(backend(), setting, forward(c, type), values);
      const Pass dirty = pass(backend(), setting, forward(c, type), padded);
      for (const auto& [output, tensor] : clean.backward)
        EXPECT_TRUE(std::ranges::equal(tensor.values(), dirty.backward.at(output).values()))
            << of << " with " << to_string(setting) << ": " << output;
      for (const char* output : {"y", "hn", "cn"})
        EXPECT_TRUE(std::ranges::equal(clean.forward.at(output).values(), dirty.forward.at(output).values()))
            << of << " with " << to_string(setting) << ": " << output;
    }
  });
}

TEST_P(Lstm, extreme_values_of_one_sample_change_no_bit_of_another) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  each_type_and_hidden(17, 48, [&](DType type, std::int64_t hidden) {
    const LstmCase c{4, 6, 16, hidden, 2};
    const auto of = name("extreme", c, type);
    const Values values = both(of, c, type);
    const std::int64_t sample = 2;
    for (const double extreme : {1e30, -1e30, double{NAN}}) {
      Values changed = values;
      for (std::int64_t t = 0; t < c.steps; ++t)
        for (std::int64_t i = 0; i < c.inputs; ++i) changed["x"](t, sample, i) = extreme;
      for (const Setting& setting : kernel_sets(backend(), forward(c, type))) {
        const Pass calm = pass(backend(), setting, forward(c, type), values);
        const Pass wild = pass(backend(), setting, forward(c, type), changed);
        EXPECT_TRUE(same_bits(calm.forward.at("y"), wild.forward.at("y"), c.samples, sample))
            << of << " " << extreme << " with " << to_string(setting);
        EXPECT_TRUE(same_bits(calm.backward.at("dx"), wild.backward.at("dx"), c.samples, sample))
            << of << " " << extreme << " with " << to_string(setting);
      }
    }
  });
}

/// Expects the same bits of the outputs that both have.
void expect_same(const Values& a, const Values& b, std::string_view where) {
  for (const auto& [output, tensor] : a) {
    const auto other = b.find(output);
    if (other == b.end() || output == "reserve") continue;
    const auto x = tensor.values(), y = other->second.values();
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(x), std::as_bytes(y))) << where << ": " << output;
  }
}

TEST_P(Lstm, thread_count_changes_no_bit) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  if (target_of(backend())) GTEST_SKIP() << "no CPU threads there";
  each_case([&](const LstmCase& c, DType type) {
    const auto of = name("threads", c, type);
    if (type == DType::f16 || !selected(of)) return;
    const auto call = forward(c, type);
    const Values values = both(of, c, type);
    const Pass alone = pass(backend(), {.selection = {.threads = 1}}, call, values);
    for (const int threads : {2, 3, 8}) {
      const Pass shared = pass(backend(), {.selection = {.threads = threads}}, call, values);
      expect_same(alone.forward, shared.forward, fmt::format("{} by {} threads", of, threads));
      expect_same(alone.backward, shared.backward, fmt::format("{} by {} threads", of, threads));
    }
  });
}

TEST_P(Lstm, inference_and_training_give_the_same_bits) {
  each_type_and_hidden(19, 48, [&](DType type, std::int64_t hidden) {
    const LstmCase c{6, 5, 12, hidden, 2, Optional::present, States::given};
    const auto of = name("inference", c, type);
    auto call = forward(c, type);
    const Values values = inputs(of, c, type);
    const auto trained = observe(backend(), setting(), call, values);
    call.reserve = {};
    expect_same(trained.outputs, observe(backend(), setting(), call, values).outputs, of);
  });
}

// Beside the steps where sums over inputs, or over all steps, could begin to be split.
TEST_P(Lstm, more_padding_changes_no_bit) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  auto few = setting();
  few.selection.multiprocessors = 2;
  for (const auto& tight : {LstmCase{7, 5, 19, 18, 2, Optional::present, States::given},
                            LstmCase{50, 5, 19, 3, 1, Optional::present, States::given},
                            LstmCase{64, 1, 512, 3, 1, Optional::present, States::given}}) {
    LstmCase loose = tight;
    loose.steps += 4;
    const auto of = name("more padding", tight, DType::f32);
    const Values values = both(of, tight, DType::f32);
    Values padded = values;
    for (const auto& [operand, columns] :
         {std::pair{"x", tight.inputs}, {"dy", tight.directions * tight.hidden}}) {
      padded[operand] = Tensor(Shape{loose.steps, tight.samples, columns});
      std::ranges::copy(values.at(operand).values(), padded[operand].values().begin());
    }
    const Pass short_pass = pass(backend(), few, forward(tight, DType::f32), values);
    const Pass long_pass = pass(backend(), few, forward(loose, DType::f32), padded);
    for (const char* output : {"hn", "cn"})
      EXPECT_TRUE(
          std::ranges::equal(short_pass.forward.at(output).values(), long_pass.forward.at(output).values()))
          << of << ": " << output;
    for (const char* output : {"dw_ih", "dw_hh", "db", "dh0", "dc0"})
      EXPECT_TRUE(
          std::ranges::equal(short_pass.backward.at(output).values(), long_pass.backward.at(output).values()))
          << of << ": " << output;
  }
}

TEST_P(Lstm, absent_states_and_their_gradients_count_as_zero) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  const LstmCase given{7, 5, 19, 18, 2, Optional::present, States::given};
  LstmCase absent = given;
  absent.states = States::none;
  const auto of = name("absent", given, DType::f32);
  Values values = both(of, given, DType::f32);
  for (const char* operand : {"h0", "c0", "dhn", "dcn"}) values[operand] = Tensor(values.at(operand).shape());
  const Pass with_zeros = pass(backend(), setting(), forward(given, DType::f32), values);
  const Pass without = pass(backend(), setting(), forward(absent, DType::f32), values);
  expect_same(without.forward, with_zeros.forward, of);
  expect_same(without.backward, with_zeros.backward, of);
}

TEST_P(Lstm, a_reserve_of_another_size_is_refused_by_name) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  auto call = backward(forward(lstm_cases.front(), DType::f32));
  call.reserve = described(DType::u8, {7});
  try {
    backend().lstm_backward(call, {});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith("lstm_backward: "),
                                             testing::HasSubstr("reserve"), testing::HasSubstr("got 7")));
  }
}

/// Each variant's reserve is its own: backward under other kernels than forward must not read it.
TEST_P(Lstm, the_reserve_of_other_kernels_is_refused) {
  if (!has<LstmBackward>()) GTEST_SKIP() << "no LSTM here";
  const LstmCase c{5, 3, 16, 32, 2, Optional::present};
  const auto sets = kernel_sets(backend(), forward(c, DType::f32));
  if (sets.size() < 2) GTEST_SKIP() << "one set of kernels here";
  for (const bool vendor_first : {false, true}) {
    auto there = forward(c, DType::f32);
    const auto wrote = backend().lstm_forward(there, sets[vendor_first].selection).variant;
    auto back = backward(there);
    try {  // whoever takes it is of the forward's kind
      EXPECT_EQ(backend().lstm_backward(back, sets[!vendor_first].selection).variant, wrote);
    } catch (const ShapeError& nobody) {
      EXPECT_THAT(nobody.what(), testing::HasSubstr("reserve"));
    }
    EXPECT_EQ(backend().lstm_backward(back, sets[vendor_first].selection).variant, wrote);
  }
}

TEST_P(Lstm, what_a_faster_variant_refuses_has_its_reason) {
  if (!target_of(backend())) GTEST_SKIP() << "of CUDA's variants";
  const auto reason = [&](std::int64_t hidden, DType type, int multiprocessors) {
    auto call = forward({3, 2, 4, hidden, 1}, type);
    const auto plan = backend().lstm_forward(call, {.multiprocessors = multiprocessors});
    EXPECT_EQ(plan.variant, plan.refused.empty() ? "resident" : "steps");
    return plan.refused.empty() ? "" : plan.refused.front().reason;
  };
  EXPECT_EQ(reason(256, DType::bf16, 108), "");
  EXPECT_EQ(reason(512, DType::f16, 108), "");
  EXPECT_EQ(reason(256, DType::f32, 108), "needs bf16 or f16, got f32");
  EXPECT_EQ(reason(10, DType::bf16, 108), "needs H % 16 == 0, got 10");
  EXPECT_EQ(reason(256, DType::bf16, 3),
            "needs weights of H = 256 to fit 3 multiprocessors of 101376 bytes of shared memory");
  EXPECT_EQ(reason(1024, DType::bf16, 108),
            "needs weights of H = 1024 to fit 108 multiprocessors of 101376 bytes of shared memory");
}

INSTANTIATE_TEST_SUITE_P(on, Lstm, testing::ValuesIn(backends_with<LstmForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
