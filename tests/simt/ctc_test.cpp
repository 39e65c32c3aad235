/// What is particular to the CTC kernels: their variants, critical path and races.
/// tests/kernels/ctc_agreement_test.cpp compares them with the reference on many more cases.

#include "tests/cases/ctc.h"

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/cuda/backend.h"
#include "kernels/reference/backend.h"
#include "tests/simt/on_device.h"

namespace scrawl::simt {
namespace {

using test::cycle, test::repeat;

struct Case {
  std::string name, variant;
  std::int64_t steps, classes;
  std::vector<std::vector<std::int32_t>> labels;
  std::vector<std::int32_t> input_lengths = {};  ///< empty: all of `steps`
  std::int64_t longest = 0;                      ///< of the batch, if no label is that long
  CtcInput input = CtcInput::logits;
  bool has_gradient = true;

  std::int64_t samples() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t width() const {
    auto most = longest;
    for (const auto& label : labels) most = std::max(most, static_cast<std::int64_t>(label.size()));
    return most;
  }
};

std::vector<Case> cases() {
  const std::vector<std::vector<std::int32_t>> mixed{{1, 2, 2, 3}, {}, {4, 4, 4}, {3, 1}, {2}};
  std::vector<Case> all{
      {"mixed", "shared", 9, 5, mixed, {9, 4, 4, 0, 1}},
      {"log-probabilities", "shared", 9, 5, mixed, {9, 9, 9, 8, 7}, 0, CtcInput::log_probabilities},
      {"two pairs a lane", "shared", 48, 7, {cycle(40, 7), repeat(20, 2)}, {45, 48}},
      {"two warps a side", "shared", 64, 6, {cycle(64, 6)}},
      {"one warp in the workspace", "workspace", 730, 4, {{1, 2, 3, 3, 1}}},
      {"three warps in the workspace", "workspace", 140, 5, {cycle(130, 5), {1, 1}, repeat(69, 2)}},
      {"states in memory", "long", 14, 5, mixed, {14, 5, 4, 3, 1}, 1024},
  };
  const auto with_gradient = all.size();
  for (std::size_t i = 0; i < with_gradient; ++i) {
    all.push_back(all[i]);
    all.back().name += ", loss alone";
    all.back().has_gradient = false;
    if (all[i].name == "one warp in the workspace") all.back().variant = "shared";  // states take less
  }
  return all;
}

struct Inputs {
  std::vector<float> x;
  std::vector<std::int32_t> labels, label_lengths, input_lengths;
};

Inputs inputs(const Case& c) {
  Inputs in;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  in.x.resize(static_cast<std::size_t>(c.steps * c.samples() * c.classes));
  for (float& x : in.x) x = normal(random) - (c.input == CtcInput::logits ? 0.0f : 3.0f);
  for (const auto& label : c.labels) {
    in.label_lengths.push_back(static_cast<std::int32_t>(label.size()));
    in.labels.insert(in.labels.end(), label.begin(), label.end());
    in.labels.resize(in.label_lengths.size() * static_cast<std::size_t>(c.width()), 1 << 30);
  }
  in.input_lengths = c.input_lengths;
  in.input_lengths.resize(c.labels.size(), static_cast<std::int32_t>(c.steps));
  return in;
}

CtcLoss call_of(const Case& c, DType type) {
  const auto view = [](DType t, const Shape& shape) { return make_view(nullptr, t, shape); };
  const Shape x{c.steps, c.samples(), c.classes};
  CtcLoss call{.input = c.input,
               .x = view(type, x),
               .labels = view(DType::i32, {c.samples(), c.width()}),
               .label_lengths = view(DType::i32, {c.samples()}),
               .input_lengths = view(DType::i32, {c.samples()}),
               .loss = view(type, {c.samples()})};
  if (c.has_gradient) call.d_x = view(type, x);
  return call;
}

template <class T>
struct Outputs {
  std::vector<T> loss, d_x;
  std::string variant, report = {};

  explicit Outputs(const Case& c)
      : loss(c.labels.size()),
        d_x(c.has_gradient ? static_cast<std::size_t>(c.steps * c.samples() * c.classes) : 0) {}

  bool has_same_bits(const Outputs& other) const {
    const auto same = [](const auto& a, const auto& b) {
      return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
    };
    return same(loss, other.loss) && same(d_x, other.d_x);
  }
};

Outputs<double> specified(const Case& c) {
  auto call = call_of(c, DType::f64);
  const auto plan = reference::backend().ctc_loss(call, {});
  auto in = inputs(c);
  std::vector<double> x(in.x.begin(), in.x.end());
  Outputs<double> out(c);
  call.x.data = x.data();
  call.labels.data = in.labels.data();
  call.label_lengths.data = in.label_lengths.data();
  call.input_lengths.data = in.input_lengths.data();
  call.loss.data = out.loss.data();
  call.d_x.data = out.d_x.data();
  plan.run(call, {}, nullptr);
  return out;
}

/// The threads of a block depend on it.
enum class Gpu : int { large = 108, small = 1 };

Outputs<float> run(const Case& c, const Schedule& schedule = {}, Gpu gpu = Gpu::large) {
  runtime().control({.schedule = schedule});
  const auto stream = new_stream();
  const auto allocate = [](std::size_t bytes) {
    void* memory = nullptr;
    OK(cudaMalloc(&memory, bytes));
    return memory;
  };
  const auto upload = [&](const auto& values) {
    const auto bytes = std::span(values).size_bytes();
    auto* const memory = allocate(bytes);
    OK(cudaMemcpyAsync(memory, values.data(), bytes, cudaMemcpyHostToDevice, stream));
    return memory;
  };
  auto call = call_of(c, DType::f32);
  const auto plan = backend().ctc_loss(call, {.multiprocessors = static_cast<int>(gpu)});
  const auto in = inputs(c);
  Outputs<float> out(c);
  out.variant = plan.variant;
  call.x.data = upload(in.x);
  call.labels.data = upload(in.labels);
  call.label_lengths.data = upload(in.label_lengths);
  call.input_lengths.data = upload(in.input_lengths);
  call.loss.data = allocate(out.loss.size() * sizeof(float));
  if (c.has_gradient) call.d_x.data = allocate(out.d_x.size() * sizeof(float));
  const Bytes workspace(static_cast<std::byte*>(allocate(plan.workspace_bytes)), plan.workspace_bytes);
  try {
    plan.run(call, workspace, reinterpret_cast<Stream>(stream));
  } catch (const Error& error) {
    out.report = error.what();
    return out;
  }
  const auto download = [&](auto& values, const View& from) {
    const auto error = cudaMemcpyAsync(values.data(), from.data, std::span(values).size_bytes(),
                                       cudaMemcpyDeviceToHost, stream);
    if (error != cudaSuccess) out.report = last_report();
  };
  download(out.loss, call.loss);
  if (c.has_gradient) download(out.d_x, call.d_x);
  if (cudaStreamSynchronize(stream) != cudaSuccess) out.report = last_report();
  return out;
}

/// f32 sums of a chain of `steps`, relative to 1.
void expect_near(const std::vector<double>& expected, const std::vector<float>& got, double tolerance,
                 const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isinf(expected[i]))
      ASSERT_EQ(expected[i], got[i]) << what << "[" << i << "]";
    else
      ASSERT_NEAR(expected[i], got[i], tolerance * (1 + std::abs(expected[i]))) << what << "[" << i << "]";
  }
}

TEST(ctc, every_variant_agrees_with_the_reference) {
  for (const auto& c : cases()) {
    const auto expected = specified(c);
    const auto got = run(c);
    ASSERT_EQ(got.report, "") << c.name;
    EXPECT_EQ(got.variant, c.variant) << c.name;
    expect_near(expected.loss, got.loss, 1e-6, c.name + ": loss");
    expect_near(expected.d_x, got.d_x, 1e-6, c.name + ": d_x");
  }
}

TEST(ctc, bits_depend_on_neither_schedule_nor_threads) {
  for (const auto& c : cases()) {
    const auto expected = run(c);
    for (std::uint64_t seed = 0; seed < 9; ++seed)
      for (const auto gpu : {Gpu::large, Gpu::small}) {
        const int turn = seed % 3 == 0 ? 3 : 64;
        const auto got = run(c, {.seed = seed, .accesses_per_turn = turn}, gpu);
        ASSERT_EQ(got.report, "") << c.name << ", seed " << seed;
        ASSERT_TRUE(got.has_same_bits(expected)) << c.name << ", seed " << seed;
      }
  }
}

TEST(ctc, there_are_no_races) {
  for (const auto& c : cases())
    if (c.steps <= 64)
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const auto got = run(c, {.seed = seed, .look_for = Schedule::LookFor::races});
        EXPECT_EQ(got.report, "") << c.name << ", seed " << seed;
      }
  const Case wide{"three warps", "workspace", 72, 4, {cycle(70, 4)}};
  const auto got = run(wide, {.look_for = Schedule::LookFor::races});
  EXPECT_EQ(got.report, "");
  EXPECT_EQ(got.variant, wide.variant);
}

/// Visits of one lane to the building block of this name that it came to most often.
std::uint64_t visits(std::string_view block) {
  std::uint64_t most = 0;
  for (const auto& visits : runtime().visits())
    if (visits.site.name == block) most = std::max<std::uint64_t>(most, visits.by_one_lane);
  return most;
}

/// No lane walks over the frames twice, and a step costs one shuffle, and a barrier beside it only where a
/// side has several warps.
TEST(ctc, the_critical_path_is_one_shuffle_a_frame) {
  for (const std::int64_t steps : {40, 41, 80}) {
    ASSERT_EQ(run({"", "", steps, 8, {cycle(24, 8)}}).report, "");
    EXPECT_EQ(visits("shuffle_up"), static_cast<std::uint64_t>(steps));
    EXPECT_EQ(visits("sync_warps"), 0u);
    EXPECT_EQ(visits("sync_block"), 1u);
  }
  for (const std::int64_t steps : {80, 121}) {
    ASSERT_EQ(run({"", "", steps, 8, {cycle(70, 8)}}).report, "");
    EXPECT_EQ(visits("shuffle_up"), static_cast<std::uint64_t>(steps));
    EXPECT_EQ(visits("sync_warps"), static_cast<std::uint64_t>(steps));
    EXPECT_EQ(visits("sync_block"), 1u);
  }
}

}  // namespace
}  // namespace scrawl::simt
