/// Whole networks: the CPU backend against the reference in double precision, fused against taken apart.

#include "models/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "kernels/cpu/backend.h"
#include "kernels/reference/backend.h"
#include "tests/graph/test_device.h"

namespace scrawl {
namespace {

constexpr int classes = 7;
constexpr std::int64_t batch = 3, longest = 4;

const std::string tiny_crnn = R"(
name = "tiny"
[input]
height = 8
width = 16
fit = "left"
[data]
labels = "text"
[network]
layers = [
  { type = "conv", filters = 16, kernel = 3, padding = "same", bias = false },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = 2 },
  { type = "conv", filters = 5, kernel = 3, padding = "same" },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = [2, 1] },
  { type = "dropout", rate = 0.25 },
  { type = "columns" }, { type = "dense", units = 12 }, { type = "relu" },
  { type = "lstm", units = 9 }, { type = "lstm", units = 8, bidirectional = false }, { type = "classes" },
]
)";

const std::string tiny_cnn = R"(
name = "tiny-cnn"
[input]
height = 16
width = 16
channels = 3
[network]
layers = [
  { type = "conv", filters = 32, kernel = 5 }, { type = "relu" }, { type = "max_pool" },
  { type = "conv", filters = 16, kernel = 3 }, { type = "relu" }, { type = "max_pool" },
  { type = "flatten" }, { type = "dense", units = 20 }, { type = "relu" }, { type = "dense", units = 10 },
  { type = "sigmoid" }, { type = "classes" },
]
)";

std::vector<double> as_doubles(const View& view) {
  std::vector<double> values(static_cast<std::size_t>(view.shape.count()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = view.type == DType::f64    ? view.as<double>()[i]
                : view.type == DType::bf16 ? float(view.as<bf16>()[i])
                                           : view.as<float>()[i];
  return values;
}

enum class Fusion { fused, apart };

struct RunOptions {
  Fusion fusion = Fusion::fused;
  std::vector<std::int64_t> widths{0};
  float l2 = 0;
};

/// A training run of one network on one backend, with inputs and weights that are the same for all. Images
/// of several widths (0: the recipe's) share the weights and the arena.
class TrainingRun {
 public:
  TrainingRun(const std::string& toml, const Backend& backend, DType type, const RunOptions& options = {})
      : recipe_(parse_recipe(toml, "test")),
        device_(testing::host_device(backend)),
        storage_(*device_),
        arena_(*device_) {
    OptimizerSettings sgd{
        .hyper = {.kind = OptimizerKind::sgd, .momentum = 0.9f, .l2 = options.l2}, .clip = 0, .decay = {}};
    for (const auto width : options.widths) {
      const auto network =
          build_network(recipe_, classes, {batch, width, longest}, NetworkUse::training, type);
      const auto graph =
          options.fusion == Fusion::apart ? decompose_all(network.graph) : decompose(network.graph, backend);
      const LowerOptions lowering{
          .loss = graph.outputs().at("loss"), .optimizer = sgd, .seed = 5, .keep_gradients = true};
      programs_.push_back(std::make_unique<Program>(
          *device_, storage_, arena_, plan_program(lower(graph, lowering), backend, device_->selection())));
      initialize(storage_, network, 3);
      fill(*programs_.back(), network.frames);
    }
    set_control(Control::loss_scale, 1);
    set_learning_rate(0.05f);
  }

  double step(std::size_t width = 0) {
    programs_[width]->run();
    return as_doubles(programs_[width]->output("loss"))[0];
  }

  std::map<std::string, std::vector<double>> gradients() const {
    std::map<std::string, std::vector<double>> all;
    for (const auto& [name, value] : plan().outputs)
      if (name.starts_with("gradient/")) all[name] = as_doubles(programs_[0]->output(name));
    return all;
  }

  const ProgramPlan& plan(std::size_t width = 0) const { return programs_[width]->plan(); }
  const Arena& arena() const { return arena_; }

  std::map<std::string, std::vector<double>> parameters() const {
    std::map<std::string, std::vector<double>> all;
    for (const auto& tensor : plan().lowered.tensors)
      if (tensor.role == Role::parameter) all[tensor.name] = as_doubles(storage_.at(tensor.name));
    return all;
  }
  double& weight(const std::string& name, std::size_t i) { return storage_.at(name).as<double>()[i]; }
  void set_learning_rate(float rate) { set_control(Control::learning_rate, rate); }

 private:
  void set_control(Control::Slot slot, float value) {
    const auto control = storage_.at("control");
    if (control.type == DType::f64)
      control.as<double>()[slot] = value;
    else
      control.as<float>()[slot] = value;
  }

  void fill(const Program& program, std::int64_t frames) {
    std::mt19937 random(11);
    const auto pixels = program.input("pixels");
    for (std::int64_t i = 0; i < pixels.shape.count(); ++i)
      pixels.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(random() % 256);
    const auto ints = [&](const std::string& name, const std::vector<std::int32_t>& values) {
      if (program.has_input(name))
        std::memcpy(program.input(name).data, values.data(), values.size() * sizeof values[0]);
    };
    ints("labels", {1, 2, 2, 0, 3, 0, 0, 0, 4, 5, 6, 1});
    ints("label_lengths", {3, 1, 4});
    ints("input_lengths", std::vector<std::int32_t>(batch, static_cast<std::int32_t>(frames)));
    ints("targets", {1, 6, 0});
    if (program.has_input("counters")) {
      program.input("counters").as<std::int64_t>()[0] = 2;
      program.input("counters").as<std::int64_t>()[1] = 100;
    }
  }

  Recipe recipe_;
  std::unique_ptr<Device> device_;
  Storage storage_;
  Arena arena_;
  std::vector<std::unique_ptr<Program>> programs_;
};

double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

void expect_same_gradients(const TrainingRun& got, const TrainingRun& expected, double tolerance) {
  const auto reference = expected.gradients();
  const auto gradients = got.gradients();
  ASSERT_EQ(gradients.size(), reference.size());
  for (const auto& [name, values] : reference) {
    double largest = 0;
    for (const auto v : values) largest = std::max(largest, std::abs(v));
    if (largest < 1e-6) continue;  // a convolution's bias before batch norm has no gradient but rounding
    EXPECT_LT(relative_distance(gradients.at(name), values), tolerance) << name;
  }
}

class networks : public ::testing::TestWithParam<const std::string*> {};

INSTANTIATE_TEST_SUITE_P(tiny, networks, ::testing::Values(&tiny_crnn, &tiny_cnn),
                         [](const auto& info) { return info.index == 0 ? "crnn" : "cnn"; });

// f32 sums of a few hundred products through some ten layers: relative error about 10 * sqrt(K) * 2^-24.
TEST_P(networks, first_gradients_in_f32_match_the_double_reference) {
  TrainingRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::f32);
  EXPECT_NEAR(cpu.step(), reference.step(), 1e-5);
  expect_same_gradients(cpu, reference, 2e-4);
}

// bf16 keeps 8 bits: 2^-8 a rounding, a dozen roundings in a row, and ReLUs that flip near zero.
TEST_P(networks, first_gradients_in_bf16_are_near_the_double_reference) {
  TrainingRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::bf16);
  const double expected = reference.step();
  EXPECT_NEAR(cpu.step(), expected, 0.02 * std::abs(expected));
  expect_same_gradients(cpu, reference, 0.15);
}

TEST_P(networks, ten_sgd_steps_in_f32_follow_the_double_reference) {
  TrainingRun reference(*GetParam(), reference::backend(), DType::f64),
      cpu(*GetParam(), cpu::backend(), DType::f32);
  for (int step = 0; step < 10; ++step) {
    const double expected = reference.step();
    EXPECT_NEAR(cpu.step(), expected, 1e-4 * std::max(1.0, std::abs(expected))) << "step " << step;
  }
}

// Each width is planned once; between batches only the program changes.
TEST(width_buckets, batches_of_several_widths_train_the_same_weights_in_one_arena) {
  const std::vector<std::int64_t> widths{16, 40, 24};
  TrainingRun reference(tiny_crnn, reference::backend(), DType::f64, {.widths = widths}),
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
  TrainingRun fused(*GetParam(), reference::backend(), DType::f64),
      apart(*GetParam(), reference::backend(), DType::f64, {.fusion = Fusion::apart});
  EXPECT_NEAR(fused.step(), apart.step(), 1e-12);
  expect_same_gradients(fused, apart, 1e-10);
  TrainingRun cpu_fused(*GetParam(), cpu::backend(), DType::f32),
      cpu_apart(*GetParam(), cpu::backend(), DType::f32, {.fusion = Fusion::apart});
  EXPECT_NEAR(cpu_fused.step(), cpu_apart.step(), 1e-5);
  expect_same_gradients(cpu_fused, cpu_apart, 2e-4);
}

TEST_P(networks, two_runs_give_the_same_bits) {
  for (const auto type : {DType::f32, DType::bf16}) {
    TrainingRun a(*GetParam(), cpu::backend(), type), b(*GetParam(), cpu::backend(), type);
    for (int step = 0; step < 3; ++step) EXPECT_EQ(a.step(), b.step());
    for (const auto& [name, values] : a.gradients()) EXPECT_EQ(values, b.gradients().at(name)) << name;
  }
}

// Of the LSTM's, whose biases have two axes, too.
TEST_P(networks, biases_and_norms_do_not_decay) {
  TrainingRun free(*GetParam(), reference::backend(), DType::f64),
      decayed(*GetParam(), reference::backend(), DType::f64, {.l2 = 0.5f});
  free.step();
  decayed.step();
  for (const auto& [name, values] : free.parameters()) {
    const bool is_weight = name.find(".weight") != std::string::npos && !name.starts_with("batch_norm");
    EXPECT_EQ(values != decayed.parameters().at(name), is_weight) << name;
  }
}

TEST_P(networks, gradients_in_double_match_central_differences) {
  TrainingRun run(*GetParam(), reference::backend(), DType::f64);
  run.set_learning_rate(0);
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
