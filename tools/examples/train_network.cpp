/// A small network, built and trained in C++: are two numbers of one sign?

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>

#include "runtime/graph/program.h"

using scrawl::Control, scrawl::DType, scrawl::matrix_spec, scrawl::ops::Dense;

int main() {
  constexpr int N = 64;
  const auto device = scrawl::open_device({.device = "cpu"});
  scrawl::Storage storage(*device);  // parameters, by name
  scrawl::Arena arena(*device);      // all other tensors
  scrawl::Graph graph;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto parameter = [&](const char* name, const scrawl::Shape& shape) {
    std::vector<float> start(static_cast<std::size_t>(shape.count()));
    std::ranges::generate(start, [&] { return uniform(random); });
    storage.tensor(name, matrix_spec(DType::f32, shape));
    storage.write(name, std::as_bytes(std::span(start)));
    return graph.parameter(name, matrix_spec(DType::f32, shape));
  };

  const auto x = graph.input("x", matrix_spec(DType::f32, {N, 2}));
  const auto same = graph.input("same", matrix_spec(DType::i32, {N}));
  const auto hidden = graph.add("hidden", Dense{scrawl::Activation::tanh},
                                {x, parameter("hidden.weight", {16, 2}), parameter("hidden.bias", {16})})[0];
  const auto scores = graph.add(
      "scores", Dense{}, {hidden, parameter("scores.weight", {2, 16}), parameter("scores.bias", {2})})[0];
  const auto losses = graph.add("losses", scrawl::ops::CrossEntropyLoss{}, {scores, same})[0];
  graph.output("loss", graph.add("loss", scrawl::ops::Mean{}, {losses})[0]);

  graph = decompose(graph, device->backend());  // fused operators that the device lacks
  const auto step =
      lower(graph, {.loss = graph.outputs().at("loss"), .optimizer = scrawl::OptimizerSettings{}});
  scrawl::Program program(*device, storage, arena,
                          plan_program(step, device->backend(), device->selection()));
  std::array<float, Control::count> control{};
  control[Control::learning_rate] = 0.03f, control[Control::loss_scale] = 1;
  storage.write(std::string(scrawl::control_name), std::as_bytes(std::span(control)));

  for (int steps = 1; steps <= 200; ++steps) {
    std::array<float, 2 * N> numbers;
    std::ranges::generate(numbers, [&] { return uniform(random); });
    std::array<std::int32_t, N> signs;
    for (std::size_t n = 0; n < N; ++n) signs[n] = numbers[2 * n] * numbers[2 * n + 1] > 0;
    device->upload(program.input("x").data, std::as_bytes(std::span(numbers)));
    device->upload(program.input("same").data, std::as_bytes(std::span(signs)));
    program.run();
    float loss = 0;
    device->download(std::as_writable_bytes(std::span(&loss, 1)), program.output("loss").data);
    if (steps == 1 || steps % 40 == 0) std::printf("step %3d: loss %.4f\n", steps, loss);
  }
}
