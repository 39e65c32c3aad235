/// A small network, built and trained in C++: are two numbers of one sign?

#include <algorithm>
#include <cstdio>
#include <random>

#include "runtime/graph/program.h"

using scrawl::Control, scrawl::DType, scrawl::matrix_spec, scrawl::ops::Dense;

int main() {
  scrawl::Graph graph;
  const auto dense = [&](const std::string& name, Dense layer, scrawl::TensorId x, std::int64_t C,
                         std::int64_t K) {
    const auto w = graph.parameter(name + ".weight", matrix_spec(DType::f32, {K, C}));
    return graph.add(name, layer, {x, w, graph.parameter(name + ".bias", matrix_spec(DType::f32, {K}))})[0];
  };
  const auto x = graph.input("x", matrix_spec(DType::f32, {4, 2}));
  const auto same = graph.input("same", matrix_spec(DType::i32, {4}));
  const auto hidden = dense("hidden", {scrawl::Activation::tanh}, x, 2, 16);
  const auto losses =
      graph.add("losses", scrawl::ops::CrossEntropyLoss{}, {dense("scores", {}, hidden, 16, 2), same})[0];
  const auto loss = graph.add("loss", scrawl::ops::Mean{}, {losses})[0];
  graph.output("loss", loss);

  const auto device = scrawl::open_device({.device = "cpu"});
  scrawl::Storage storage(*device);  // parameters, by name
  scrawl::Arena arena(*device);      // all other tensors
  scrawl::Program step(*device, storage, arena, graph,
                       {.loss = loss, .optimizer = scrawl::OptimizerSettings{}});
  std::mt19937 random(1);
  for (const auto* const name : {"hidden.weight", "scores.weight"}) {  // biases begin at 0
    std::vector<float> start(32);
    std::ranges::generate(start, [&] { return std::uniform_real_distribution<float>(-1, 1)(random); });
    storage.write(name, start);
  }
  storage.set(Control::learning_rate, 0.03f);
  storage.set(Control::loss_scale, 1);

  step.write("x", std::vector<float>{1, 1, 1, -1, -1, 1, -1, -1});
  step.write("same", std::vector<std::int32_t>{1, 0, 0, 1});
  for (int i = 1; i <= 200; ++i) {
    step.run();
    if (i == 1 || i % 40 == 0) std::printf("step %3d: loss %.4f\n", i, step.read<float>("loss")[0]);
  }
}
