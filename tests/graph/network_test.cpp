/// Whole networks: the CPU backend against the reference in double precision, fused against taken apart.

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/backend.h"
#include "kernels/reference/backend.h"
#include "tests/graph/test_device.h"
#include "tests/graph/tiny_networks.h"
#include "tests/graph/training_run.h"

namespace scrawl {
namespace {

using testing::batch;
using testing::classes;
using testing::Fusion;
using testing::longest;
using testing::some_batch;
using testing::tiny_cnn;
using testing::tiny_crnn;

struct HostOptions {
  Fusion fusion = Fusion::fused;
  std::vector<std::int64_t> widths{0};
  float l2 = 0;
};

/// A network on a backend whose memory is the host's.
class HostRun : public testing::TrainingRun {
 public:
  HostRun(const std::string& toml, const Backend& backend, DType type, const HostOptions& options = {})
      : TrainingRun(parse_recipe(toml, "test"), testing::host_device(backend),
                    {.type = type,
                     .fusion = options.fusion,
                     .classes = classes,
                     .batch = batch,
                     .longest_label = longest,
                     .widths = options.widths,
                     .l2 = options.l2}) {
    const auto recipe = parse_recipe(toml, "test");
    for (std::size_t i = 0; i < options.widths.size(); ++i) fill(some_batch(recipe, options.widths[i]), i);
  }
};

void expect_same_gradients(const HostRun& got, const HostRun& expected, double tolerance) {
  const auto reference = expected.gradients();
  const auto gradients = got.gradients();
  ASSERT_EQ(gradients.size(), reference.size());
  for (const auto& [name, values] : reference) {
    double largest = 0;
    for (const auto v : values) largest = std::max(largest, std::abs(v));
    if (largest < 1e-6) continue;  // a convolution's bias before batch norm has no gradient but rounding
    EXPECT_LT(testing::relative_distance(gradients.at(name), values), tolerance) << name;
  }
}

class networks : public ::testing::TestWithParam<const std::string*> {};

INSTANTIATE_TEST_SUITE_P(tiny, networks, ::testing::Values(&tiny_crnn, &tiny_cnn),
                         [](const auto& info) { return info.index == 0 ? "crnn" : "cnn"; });

// f32 sums of a few hundred products through some ten layers: relative error about 10 * sqrt(K) * 2^-24.
TEST_P(networks, first_gradients_in_f32_match_the_double_reference) {
  HostRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::f32);
  EXPECT_NEAR(cpu.step(), reference.step(), 1e-5);
  expect_same_gradients(cpu, reference, 2e-4);
}

// bf16 keeps 8 bits: 2^-8 a rounding, a dozen roundings in a row, and ReLUs that flip near zero.
TEST_P(networks, first_gradients_in_bf16_are_near_the_double_reference) {
  HostRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::bf16);
  const double expected = reference.step();
  EXPECT_NEAR(cpu.step(), expected, 0.02 * std::abs(expected));
  expect_same_gradients(cpu, reference, 0.15);
}

TEST_P(networks, ten_sgd_steps_in_f32_follow_the_double_reference) {
  HostRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::f32);
  for (int step = 0; step < 10; ++step) {
    const double expected = reference.step();
    EXPECT_NEAR(cpu.step(), expected, 1e-4 * std::max(1.0, std::abs(expected))) << "step " << step;
  }
}

// Each width is planned once; between batches only the program changes.
TEST(width_buckets, batches_of_several_widths_train_the_same_weights_in_one_arena) {
  const std::vector<std::int64_t> widths{16, 40, 24};
  HostRun reference(tiny_crnn, reference::backend(), DType::f64, {.widths = widths}),
      cpu(tiny_crnn, cpu::backend(), DType::f32, {.widths = widths});
  for (std::size_t step = 0; step < 10; ++step) {
    const auto width = step * 2 % widths.size();
    const double expected = reference.step(width);
    EXPECT_NEAR(cpu.step(width), expected, 1e-4 * std::max(1.0, std::abs(expected))) << "step " << step;
  }
  EXPECT_EQ(cpu.arena().size(), cpu.plan(1).memory.arena_bytes);
  EXPECT_LT(cpu.plan(0).memory.arena_bytes, cpu.plan(1).memory.arena_bytes);
}

TEST_P(networks, fused_operators_equal_their_decomposition) {
  HostRun fused(*GetParam(), reference::backend(), DType::f64),
      apart(*GetParam(), reference::backend(), DType::f64, {.fusion = Fusion::apart});
  EXPECT_NEAR(fused.step(), apart.step(), 1e-12);
  expect_same_gradients(fused, apart, 1e-10);
  HostRun cpu_fused(*GetParam(), cpu::backend(), DType::f32),
      cpu_apart(*GetParam(), cpu::backend(), DType::f32, {.fusion = Fusion::apart});
  EXPECT_NEAR(cpu_fused.step(), cpu_apart.step(), 1e-5);
  expect_same_gradients(cpu_fused, cpu_apart, 2e-4);
}

TEST_P(networks, two_runs_give_the_same_bits) {
  for (const auto type : {DType::f32, DType::bf16}) {
    HostRun a(*GetParam(), cpu::backend(), type), b(*GetParam(), cpu::backend(), type);
    for (int step = 0; step < 3; ++step) EXPECT_EQ(a.step(), b.step());
    for (const auto& [name, values] : a.gradients()) EXPECT_EQ(values, b.gradients().at(name)) << name;
  }
}

// Of the LSTM's, whose biases have two axes, too.
TEST_P(networks, biases_and_norms_do_not_decay) {
  HostRun free(*GetParam(), reference::backend(), DType::f64),
      decayed(*GetParam(), reference::backend(), DType::f64, {.l2 = 0.5f});
  free.step();
  decayed.step();
  for (const auto& [name, values] : free.parameters()) {
    const bool is_weight = name.find(".weight") != std::string::npos && !name.starts_with("batch_norm");
    EXPECT_EQ(values != decayed.parameters().at(name), is_weight) << name;
  }
}

TEST_P(networks, gradients_in_double_match_central_differences) {
  HostRun run(*GetParam(), reference::backend(), DType::f64);
  run.set_control(Control::learning_rate, 0);
  run.step();
  const double h = 1e-5;
  for (const auto& [gradient_name, gradient] : run.gradients()) {
    const auto name = gradient_name.substr(std::string("gradient/").size());
    for (std::size_t i = 0; i < gradient.size(); i += 1 + gradient.size() / 3) {
      double& weight = run.weight(name, i);
      const double before = weight;
      weight = before + h;
      const double above = run.step();
      weight = before - h;
      const double below = run.step();
      weight = before;
      // A ReLU or a maximum that changes its mind within h shows as a jump; none does at this seed.
      EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-5 * std::max(1e-2, std::abs(gradient[i])))
          << name << " " << i;
    }
  }
}

}  // namespace
}  // namespace scrawl
