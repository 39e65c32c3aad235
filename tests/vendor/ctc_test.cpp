/// CTC by cuDNN: what our kernels, on simt, give to a library that is strict and leaves much open, and what
/// they make of its answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "kernels/cuda/vendor/cudnn_ctc.h"
#include "kernels/cuda/vendor/search.h"
#include "kernels/cuda/vendor/variants.h"
#include "kernels/reference/backend.h"
#include "tests/cases/ctc.h"
#include "tests/vendor/ctc_on_simt.h"

namespace scrawl::simt {

namespace {

using test::CtcCase, test::cycle, test::repeat;
using testing::HasSubstr;

enum class Gradient : bool { absent, present };

struct Batch {
  std::int64_t steps, samples, classes, longest = 0;
  std::vector<float> x;
  std::vector<std::int32_t> labels, label_lengths, input_lengths;

  explicit Batch(const CtcCase& c)
      : steps(c.steps),
        samples(std::ssize(c.labels)),
        classes(c.classes),
        x(static_cast<std::size_t>(steps * samples * classes)),
        input_lengths(c.input_lengths) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> real(-2, 2);
    for (float& value : x) value = static_cast<float>(c.scale) * real(random);
    for (const auto& label : c.labels) longest = std::max(longest, std::ssize(label));
    for (const auto& label : c.labels) {
      label_lengths.push_back(static_cast<std::int32_t>(label.size()));
      labels.insert(labels.end(), label.begin(), label.end());
      labels.resize(label_lengths.size() * static_cast<std::size_t>(longest), 1 << 30);
    }
    input_lengths.resize(c.labels.size(), static_cast<std::int32_t>(steps));
  }

  float& at(std::int64_t t, std::int64_t n, std::int64_t k) {
    return x[static_cast<std::size_t>((t * samples + n) * classes + k)];
  }
};

/// Garbage until written.
struct Outputs {
  std::vector<float> loss, d_x;
  std::string report = {};

  explicit Outputs(const Batch& b)
      : loss(static_cast<std::size_t>(b.samples), 7e7f), d_x(b.x.size(), -7e7f) {}
};

struct Setting {
  Infeasible infeasible = Infeasible::infinite;
  Gradient gradient = Gradient::present;
  Schedule schedule = {};
};

CtcLoss described(const Batch& b, const Setting& setting) {
  const auto view = [](DType type, const Shape& shape) { return make_view(nullptr, type, shape); };
  CtcLoss call{.infeasible = setting.infeasible,
               .x = view(DType::f32, {b.steps, b.samples, b.classes}),
               .labels = view(DType::i32, {b.samples, b.longest}),
               .label_lengths = view(DType::i32, {b.samples}),
               .input_lengths = view(DType::i32, {b.samples}),
               .loss = view(DType::f32, {b.samples})};
  if (setting.gradient == Gradient::present) call.d_x = view(DType::f32, call.x.shape);
  return call;
}

CtcLoss on_host(Batch& b, Outputs& out, const Setting& setting) {
  auto call = described(b, setting);
  call.x.data = b.x.data();
  call.labels.data = b.labels.data();
  call.label_lengths.data = b.label_lengths.data();
  call.input_lengths.data = b.input_lengths.data();
  call.loss.data = out.loss.data();
  call.d_x.data = setting.gradient == Gradient::present ? out.d_x.data() : nullptr;
  return call;
}

Outputs specified(Batch b, const Setting& setting) {
  Outputs out(b);
  auto call = described(b, setting);
  const auto plan = reference::backend().ctc_loss(call, {});
  plan.run(on_host(b, out, setting), {}, nullptr);
  return out;
}

/// As the variant does it: our kernels, the library between them.
Outputs by_cudnn(Batch b, const Setting& setting) {
  Outputs out(b);
  const auto call = on_host(b, out, setting);
  const auto handle = cuda::cudnn_handle();
  return handle->plan([&](cudnnHandle_t own) {
    const cuda::CudnnCtc ctc(cuda::cudnn(), own, call);
    std::vector<std::byte> workspace(ctc.workspace_bytes(), std::byte{0x7f});
    out.report = pack_on_simt(call, ctc.packed(workspace), setting.schedule);
    if (!out.report.empty()) return out;
    ctc.run(own, call, workspace);
    out.report = complete_on_simt(call, setting.schedule);
    return out;
  });
}

void expect_near(const std::vector<float>& expected, const std::vector<float>& got, const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (std::isinf(expected[i]))
      ASSERT_EQ(expected[i], got[i]) << what << "[" << i << "]";
    else
      ASSERT_NEAR(expected[i], got[i], 1e-5 * (1 + std::abs(expected[i]))) << what << "[" << i << "]";
}

void expect_agreement(const Batch& batch, const std::string& what, const Setting& setting = {}) {
  const auto expected = specified(batch, setting), got = by_cudnn(batch, setting);
  ASSERT_EQ(got.report, "") << what;
  expect_near(expected.loss, got.loss, what + ": loss");
  expect_near(expected.d_x, got.d_x, what + ": d_x");
}

bool is_cudnns(const CtcCase& c) {
  const auto fits = [](const auto& label) { return label.size() <= 255; };
  return c.blank == 0 && !c.labels.empty() && std::all_of(c.labels.begin(), c.labels.end(), fits);
}

class VendorCtc : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("SCRAWL_CUDNN", SCRAWL_FAKE_CUDNN, 1); }

  static std::string refusal(CtcLoss call) {
    try {
      first_variant<CtcLoss>("ctc_loss", cuda::vendor_variants(call), call, {});
    } catch (const Unsupported& error) {
      return error.what();
    }
    return "";
  }
};

const CtcCase mixed{"mixed", 9, 5, {{1, 2, 2, 3}, {}, {4, 4, 4}, {3, 1}, {}, {2}, {}}, {9, 4, 4, 0, 0, 1, 9}};

TEST_F(VendorCtc, agrees_with_the_reference) {
  for (const auto& c : test::ctc_cases())
    if (is_cudnns(c))
      for (const auto infeasible : {Infeasible::infinite, Infeasible::zero})
        expect_agreement(Batch(c), c.name, {.infeasible = infeasible});
}

TEST_F(VendorCtc, needs_no_gradient) {
  expect_agreement(Batch(mixed), "loss alone", {.gradient = Gradient::absent});
}

TEST_F(VendorCtc, knows_samples_whose_paths_all_have_activations_of_minus_infinity) {
  Batch b({"", 6, 5, {{1, 2}, {1, 2}, {1, 2}, {3, 3}, {}, {1, 2, 3}, cycle(5, 5)}, {6, 6, 4, 6, 6, 3, 5}});
  for (std::int64_t t = 0; t < 6; ++t) b.at(t, 0, 2) = -INFINITY;  // symbol 2 is nowhere
  b.at(1, 1, 0) = b.at(2, 1, 4) = -INFINITY;                       // others of its paths remain
  for (std::int64_t t = 4; t < 6; ++t) b.at(t, 2, 1) = -INFINITY;  // beyond its last frame
  for (std::int64_t t = 0; t < 6; ++t) b.at(t, 3, 0) = -INFINITY;  // no blank between equals
  b.at(5, 4, 0) = -INFINITY;                                       // the only path of an empty label
  b.at(1, 5, 2) = -INFINITY;                                       // a label with as many frames
  for (const auto infeasible : {Infeasible::infinite, Infeasible::zero})
    expect_agreement(b, "-inf", {.infeasible = infeasible});
  const auto loss = specified(b, {}).loss;
  for (const std::size_t n : {0, 3, 4, 5}) EXPECT_EQ(loss[n], INFINITY) << n;
  for (const std::size_t n : {1, 2, 6}) EXPECT_LT(loss[n], INFINITY) << n;
}

TEST_F(VendorCtc, believes_large_losses_of_samples_that_have_a_path) {
  Batch b({"", 2, 3, {{1}, {1}}});
  for (const std::int64_t n : {0, 1}) {
    for (std::int64_t t = 0; t < 2; ++t) b.at(t, n, 2) = 1e4f;
    b.at(n, n, 0) = b.at(1 - n, n, 1) = -INFINITY;  // left: the symbol in frame n
  }
  expect_agreement(b, "one path");
  for (const float loss : specified(b, {}).loss) EXPECT_LT(loss, INFINITY);
}

TEST_F(VendorCtc, keeps_nan_within_its_sample) {
  Batch calm(mixed), wild = calm;
  wild.at(2, 0, 1) = NAN;
  wild.at(3, 6, 2) = NAN;
  const auto expected = by_cudnn(calm, {}), got = by_cudnn(wild, {});
  for (std::size_t n = 0; n < expected.loss.size(); ++n)
    if (n == 0 || n == 6)
      EXPECT_TRUE(std::isnan(got.loss[n])) << n;
    else
      EXPECT_EQ(expected.loss[n], got.loss[n]) << n;
}

TEST_F(VendorCtc, bits_do_not_depend_on_the_schedule_and_there_are_no_races) {
  Batch b(mixed);
  for (std::int64_t t = 0; t < 9; ++t) b.at(t, 0, 3) = -INFINITY;
  const auto expected = by_cudnn(b, {});
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const auto got = by_cudnn(b, {.schedule = {.seed = seed, .accesses_per_turn = 3}});
    EXPECT_EQ(std::memcmp(got.loss.data(), expected.loss.data(), got.loss.size() * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(got.d_x.data(), expected.d_x.data(), got.d_x.size() * sizeof(float)), 0);
    const auto raced = by_cudnn(b, {.schedule = {.seed = seed, .look_for = Schedule::LookFor::races}});
    EXPECT_EQ(raced.report, "") << seed;
  }
}

TEST_F(VendorCtc, is_searched_in_both_algorithms_and_trains_by_the_deterministic_one) {
  auto call = described(Batch(mixed), {});
  const auto all = cuda::all_plans(call, {});
  ASSERT_THAT(all, testing::SizeIs(2));
  EXPECT_EQ(all[0].name, "deterministic");
  EXPECT_EQ(all[1].name, "non-deterministic");
  const auto bytes = first_variant<CtcLoss>("ctc", cuda::vendor_variants(call), call, {}).workspace_bytes;
  EXPECT_EQ(all[0].plan().workspace_bytes, bytes);
  EXPECT_EQ(all[1].plan().workspace_bytes, bytes + 4000);
}

TEST_F(VendorCtc, refuses_what_cudnn_does_not_do_as_the_contract_says) {
  const auto call = described(Batch(mixed), {});
  EXPECT_EQ(refusal(call), "");
  auto narrow = call;
  narrow.x.type = narrow.d_x.type = DType::bf16;
  EXPECT_THAT(refusal(narrow), HasSubstr("needs f32, got bf16"));
  auto normalised = call;
  normalised.input = CtcInput::log_probabilities;
  EXPECT_THAT(refusal(normalised), HasSubstr("needs logits, got log-probabilities"));
  auto last = call;
  last.blank = 4;
  EXPECT_THAT(refusal(last), HasSubstr("needs blank 0, got 4"));
  EXPECT_EQ(refusal(described(Batch({"", 300, 3, {cycle(255, 3)}}), {})), "");
  EXPECT_THAT(refusal(described(Batch({"", 300, 3, {cycle(256, 3)}}), {})),
              HasSubstr("needs labels of at most 255 symbols, got 256"));
  EXPECT_THAT(refusal(described(Batch({"", 4, 1, {{}}}), {})), HasSubstr("needs a class beside the blank"));
  EXPECT_THAT(refusal(described(Batch({"", 4, 3, {}}), {})), HasSubstr("needs elements"));
}

}  // namespace
}  // namespace scrawl::simt
