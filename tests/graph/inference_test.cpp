/// Networks in use, run after run, against the reference.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/cpu/backend.h"
#include "kernels/reference/backend.h"
#include "models/network.h"
#include "tests/graph/test_device.h"

namespace scrawl {
namespace {

Recipe small_cnn(int filters) {
  return parse_recipe(fmt::format(R"(
name = "small"
[input]
height = 14
width = 14
[network]
layers = [
  {{ type = "conv", filters = {0}, kernel = 3, padding = "same" }},
  {{ type = "batch_norm" }}, {{ type = "relu" }}, {{ type = "max_pool" }},
  {{ type = "conv", filters = {0}, kernel = 3, padding = "same" }},
  {{ type = "batch_norm" }}, {{ type = "relu" }}, {{ type = "max_pool" }},
  {{ type = "flatten" }}, {{ type = "dense", units = 20 }}, {{ type = "relu" }}, {{ type = "classes" }},
]
)",
                                  filters),
                      "test");
}

Recipe small_crnn() {
  return parse_recipe(R"(
name = "small"
[input]
height = 14
width = 14
[data]
labels = "text"
[network]
layers = [
  { type = "conv", filters = 8, kernel = 3, padding = "same" }, { type = "batch_norm" }, { type = "relu" },
  { type = "max_pool" }, { type = "columns" }, { type = "dense", units = 12 }, { type = "relu" },
  { type = "lstm", units = 9 }, { type = "classes" },
]
)",
                      "test");
}

/// A network planned once, with weights of a fixed seed.
class Reader {
 public:
  Reader(const Recipe& recipe, std::int64_t batch, const Backend& backend, KernelSet kernels)
      : device_(testing::host_device(backend)),
        network_(build_network(recipe, 7, {.batch = batch}, NetworkUse::prediction, DType::f32)) {
    auto selection = device_->selection();
    selection.kernels = kernels;
    initialize(storage_, network_, 1);
    program_ = std::make_unique<Program>(
        *device_, storage_, arena_,
        plan_program(lower(decompose(network_.graph, backend, selection), {}), backend, selection));
    program_->prepare();
  }

  std::vector<float> read(unsigned seed) {
    std::mt19937 random(seed);
    const auto pixels = program_->input("pixels");
    std::generate_n(pixels.as<std::uint8_t>(), pixels.shape.count(),
                    [&] { return static_cast<std::uint8_t>(random()); });
    program_->run();
    const auto y = program_->output("log_probabilities");
    return {y.as<float>(), y.as<float>() + y.shape.count()};
  }

 private:
  std::unique_ptr<Device> device_;
  Storage storage_{*device_};
  Arena arena_{*device_};
  Network network_;
  std::unique_ptr<Program> program_;
};

void expect_agreement(const Recipe& recipe, std::int64_t batch, KernelSet kernels, const std::string& name) {
  Reader reader(recipe, batch, cpu::backend(), kernels);
  Reader reference(recipe, batch, reference::backend(), KernelSet::automatic);
  for (const unsigned seed : {1u, 2u}) {  // the second time, what was prepared is not prepared again
    const auto y = reader.read(seed), expected = reference.read(seed);
    ASSERT_EQ(y.size(), expected.size());
    float worst = 0;
    for (std::size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
    EXPECT_LT(worst, 1e-4f) << name << ", batch " << batch << ", " << name_of(kernels)
                            << " kernels, image set " << seed;
  }
}

TEST(inference, follows_its_input_whatever_the_number_of_filters) {
  for (const auto kernels : {KernelSet::automatic, KernelSet::native})
    for (const std::int64_t batch : {1, 2, 5})
      for (const int filters : {1, 3, 8, 16, 20, 33})
        expect_agreement(small_cnn(filters), batch, kernels, fmt::format("{} filters", filters));
}

TEST(inference, of_sequences_follows_its_input) {
  for (const auto kernels : {KernelSet::automatic, KernelSet::native})
    for (const std::int64_t batch : {1, 5}) expect_agreement(small_crnn(), batch, kernels, "crnn");
}

/// y of a graph whose inputs are drawn, their squares taken so that variances are none below 0.
std::vector<float> drawn(const Graph& graph) {
  const auto device = testing::host_device(reference::backend());
  Storage storage(*device);
  Arena arena(*device);
  Program program(*device, storage, arena,
                  plan_program(lower(graph, {}), reference::backend(), device->selection()));
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const auto& tensor : graph.tensors()) {
    if (tensor.role != Role::input) continue;
    const auto values = program.input(tensor.name);
    std::generate_n(values.as<float>(), values.shape.count(), [&] {
      const float x = normal(random);
      return x * x;
    });
  }
  program.run();
  const auto y = program.output("y");
  return {y.as<float>(), y.as<float>() + y.shape.count()};
}

TEST(inference, of_a_convolution_fused_with_batch_norm_is_that_of_its_parts) {
  Graph graph;
  const auto image = [&](const char* name, const Shape& shape) {
    return graph.input(name, image_spec(DType::f32, shape));
  };
  const auto channels = [&](const char* name) { return graph.input(name, matrix_spec(DType::f32, {4})); };
  const std::vector<TensorId> in{
      image("x", {2, 3, 6, 8}), image("w", {4, 3, 3, 3}), channels("b"),    no_tensor,           no_tensor,
      channels("gamma"),        channels("beta"),         channels("mean"), channels("variance")};
  graph.output("y", graph.add("conv", ops::Conv2dBatchNormPool{}, in)[0]);
  const auto fused = drawn(graph);
  EXPECT_EQ(fused, drawn(decompose_all(graph)));
  EXPECT_GT(*std::ranges::max_element(fused), 0);
}

}  // namespace
}  // namespace scrawl
