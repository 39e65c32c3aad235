/// A tiny CRNN and a tiny CNN62 in training by the kernels that GPUs run, on simt and on a GPU where there is
/// one, beside the same networks in double on the reference.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/reference/backend.h"
#include "kernels/simt/runtime.h"
#include "models/summary.h"
#include "runtime/device/described.h"
#include "tests/graph/test_device.h"
#include "tests/graph/tiny_networks.h"
#include "tests/graph/training_run.h"

namespace scrawl {
namespace {

using testing::Fusion;
using testing::TrainingRun;

/// What a storage type is held to: gradients of the first step by norm, losses of ten steps relatively.
struct Bounds {
  DType type;
  double gradients, losses;
};
// f32: sums of a few hundred products through some ten layers, about 10 sqrt(K) 2^-24. bf16: 2^-8 a rounding,
// a dozen of them in a row, and ReLUs that turn near zero.
constexpr Bounds in_f32{DType::f32, 2e-4, 1e-4}, in_bf16{DType::bf16, 0.15, 0.02};

struct Case {
  const char *device, *name;
  const std::string* recipe;
  Bounds bounds;
};

class device_networks : public ::testing::TestWithParam<Case> {
 protected:
  Recipe recipe() const { return parse_recipe(*GetParam().recipe, "test"); }

  TrainingRun run(Fusion fusion, const simt::Schedule& schedule = {.seed = 1}) const {
    simt::runtime().control({.schedule = schedule});
    TrainingRun made(recipe(), open_device({.device = GetParam().device}),
                     options(GetParam().bounds.type, fusion));
    made.fill(testing::some_batch(recipe(), 0));
    return made;
  }

  TrainingRun reference() const {
    TrainingRun made(recipe(), testing::host_device(reference::backend()),
                     options(DType::f64, Fusion::fused));
    made.fill(testing::some_batch(recipe(), 0));
    return made;
  }

 private:
  static testing::RunOptions options(DType type, Fusion fusion) {
    return {.type = type,
            .fusion = fusion,
            .classes = testing::classes,
            .batch = testing::batch,
            .longest_label = testing::longest};
  }
};

bool is_usable(std::string_view device) {
  const auto all = list_devices();
  return std::ranges::any_of(
      all, [&](const DeviceSummary& each) { return each.name == device && each.unusable.empty(); });
}

/// Where there is no GPU, Gpu.kernels_run_on_it says so.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* device : {"simt", "cuda"}) {
    if (!is_usable(device)) continue;
    for (const auto& [name, recipe] : {std::pair{"crnn", &testing::tiny_crnn},
                                       {"even_crnn", &testing::even_crnn},
                                       {"cnn", &testing::tiny_cnn}})
      for (const auto& bounds : {in_f32, in_bf16}) all.push_back({device, name, recipe, bounds});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(on, device_networks, ::testing::ValuesIn(cases()), [](const auto& info) {
  return fmt::format("{}_{}_{}", info.param.device, info.param.name, name_of(info.param.bounds.type));
});

/// Logs observed over allowed.
void expect_within(double observed, double allowed, std::string_view what) {
  fmt::print("{}: {:.2g}, {:.2g} of what is allowed\n", what, observed, observed / allowed);
  EXPECT_LE(observed, allowed) << what;
}

void expect_gradients_within(const TrainingRun& got, const TrainingRun& reference, double allowed) {
  const auto gradients = got.gradients();
  const auto expected = reference.gradients();
  ASSERT_EQ(gradients.size(), expected.size());
  for (const auto& [name, values] : expected) {
    double largest = 0;
    for (const auto v : values) largest = std::max(largest, std::abs(v));
    if (largest < 1e-6) continue;  // a convolution's bias before batch norm has no gradient but rounding
    expect_within(testing::relative_distance(gradients.at(name), values), allowed, name);
  }
}

void expect_ten_steps_follow(TrainingRun& got, TrainingRun& expected, double allowed) {
  double worst = 0;
  for (int step = 0; step < 10; ++step) {
    const double loss = expected.step();
    worst = std::max(worst, std::abs(got.step() - loss) / std::max(1.0, std::abs(loss)));
  }
  expect_within(worst, allowed, "losses of ten steps");
}

TEST_P(device_networks, first_gradients_match_the_double_reference) {
  auto got = run(Fusion::fused), expected = reference();
  const double loss = expected.step();
  expect_within(std::abs(got.step() - loss), GetParam().bounds.losses * std::abs(loss), "loss");
  expect_gradients_within(got, expected, GetParam().bounds.gradients);
}

TEST_P(device_networks, ten_sgd_steps_follow_the_double_reference) {
  auto got = run(Fusion::fused), expected = reference();
  expect_ten_steps_follow(got, expected, GetParam().bounds.losses);
}

TEST_P(device_networks, ten_sgd_steps_taken_apart_follow_the_double_reference) {
  auto got = run(Fusion::apart), expected = reference();
  expect_ten_steps_follow(got, expected, GetParam().bounds.losses);
}

TEST_P(device_networks, fused_operators_are_not_taken_apart) {
  const auto has = [&](Fusion fusion, std::string_view call) {
    const auto planned = run(fusion);
    return std::ranges::any_of(planned.plan().steps,
                               [&](const auto& step) { return step.name.find(call) != std::string::npos; });
  };
  const auto operations =
      recipe().target == Target::sequence
          ? std::vector<std::string_view>{"conv2d_moments_forward", "batch_norm_pool_apply"}
          : std::vector<std::string_view>{"conv2d_pool_forward"};
  for (const auto operation : operations) {
    EXPECT_TRUE(has(Fusion::fused, operation)) << operation;
    EXPECT_FALSE(has(Fusion::apart, operation)) << operation;
  }
}

TEST_P(device_networks, two_runs_give_the_same_bits) {
  const auto trained = [&](std::uint64_t seed) {
    auto each = run(Fusion::fused, {.seed = seed});
    std::map<std::string, testing::Values> all;
    for (int step = 0; step < 3; ++step) all["losses"].push_back(each.step());
    all.merge(each.gradients());
    all.merge(each.parameters());
    return all;
  };
  const auto one = trained(2), other = trained(3);
  for (const auto& [name, values] : one) EXPECT_EQ(values, other.at(name)) << name;
}

TEST_P(device_networks, no_two_lanes_race_in_a_step) {
  if (std::string_view(GetParam().device) != "simt") GTEST_SKIP() << "races are looked for on simt";
  auto got = run(Fusion::fused, {.look_for = simt::Schedule::LookFor::races});
  EXPECT_TRUE(std::isfinite(got.step()));
}

// A machine without a GPU can say what one would run.
TEST(described_cuda, plans_every_recipe_in_full_size_by_our_own_kernels) {
  const auto device = described_cuda({.device = "cuda", .kernels = KernelSet::native});
  ASSERT_TRUE(device);
  for (const char* name : {"crnn", "crnn-small", "cnn62", "mnist", "emnist", "mlp"})
    for (const char* precision : {"f32", "tf32", "bf16", "f16"})
      for (const bool training : {true, false}) {
        const auto recipe = load_recipe(name, "", {fmt::format("training.precision={}", precision)});
        const auto classes = recipe.target == Target::single ? 62 : 80;
        const auto summary = summarize(recipe, classes, *device, 256, training);
        EXPECT_GE(summary["calls"].size(), 5u) << name;
        EXPECT_EQ(summary["device"], "cuda");
      }
  EXPECT_THROW(Buffer(*device, 16), DeviceError);
}

}  // namespace
}  // namespace scrawl
