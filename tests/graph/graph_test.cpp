#include "runtime/graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cpu/backend.h"
#include "kernels/reference/backend.h"
#include "runtime/graph/program.h"
#include "tests/graph/test_device.h"

namespace scrawl {
namespace {

using ::testing::HasSubstr;

TEST(graph, shape_errors_name_the_node_and_its_input_shapes) {
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {4, 10}));
  const auto w = graph.parameter("w", matrix_spec(DType::f32, {3, 11}));
  try {
    graph.add("first", ops::Dense{}, {x, w});
    FAIL() << "a mismatch was accepted";
  } catch (const ShapeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("first"));
    EXPECT_THAT(error.what(), HasSubstr("4x10"));
    EXPECT_THAT(error.what(), HasSubstr("3x11"));
  }
}

TEST(graph, parameters_of_one_name_are_one_tensor_of_one_shape) {
  Graph graph;
  const auto a = graph.parameter("w", matrix_spec(DType::f32, {3, 4}));
  EXPECT_EQ(graph.parameter("w", matrix_spec(DType::f32, {3, 4})), a);
  EXPECT_THROW(graph.parameter("w", matrix_spec(DType::f32, {3, 5})), ShapeError);
}

/// y = mean over n of x W W, a parameter used twice, and its loss.
struct TwiceUsed {
  Graph graph;
  TensorId loss;

  TwiceUsed() {
    const auto x = graph.input("x", matrix_spec(DType::f64, {1, 2}));
    const auto w = graph.parameter("w", matrix_spec(DType::f64, {2, 2}));
    const auto v = graph.parameter("v", matrix_spec(DType::f64, {1, 2}));
    const auto h = graph.add("h", ops::Dense{}, {x, w})[0];
    const auto y = graph.add("y", ops::Dense{}, {h, w})[0];
    const auto z = graph.add("z", ops::Dense{}, {y, v})[0];
    const auto flat = graph.add(
        "flat", ops::CrossEntropyLoss{},
        {graph.add("sum", ops::Sum{}, {z, z})[0], graph.input("targets", matrix_spec(DType::i32, {1}))})[0];
    loss = graph.add("loss", ops::Mean{}, {flat})[0];
    graph.output("loss", loss);
  }
};

TEST(lowering, gradients_of_a_parameter_used_twice_are_added_once) {
  const TwiceUsed net;
  const auto lowered = lower(net.graph, {.loss = net.loss, .optimizer = {}, .keep_gradients = true});
  int additions = 0;
  for (const auto& step : lowered.steps) additions += step.call == "add" && step.phase != Phase::forward;
  EXPECT_EQ(additions, 2);  // w's two uses, and z's two uses as both operands of the sum
  EXPECT_TRUE(lowered.outputs.contains("gradient/w"));
}

TEST(lowering, calls_whose_results_nobody_reads_are_left_out) {
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {2, 3}));
  graph.add("unused", ops::Activate{Activation::relu}, {x});
  graph.output("y", graph.add("used", ops::Activate{Activation::tanh}, {x})[0]);
  const auto lowered = lower(graph, {});
  ASSERT_EQ(lowered.steps.size(), 1u);
  EXPECT_EQ(lowered.tensors[static_cast<std::size_t>(lowered.steps[0].tensors[1])].name, "used");
}

TEST(planning, a_call_that_a_backend_lacks_is_an_error_by_name_when_planned) {
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {2, 3}));
  graph.output("y", graph.add("soft", ops::Softmax{}, {x})[0]);
  Backend lacking = reference::backend();
  lacking.softmax_forward = nullptr;
  try {
    plan_program(lower(graph, {}), lacking, {});
    FAIL() << "planned without a kernel";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("softmax_forward"));
  }
}

TEST(planning, what_depends_on_parameters_only_runs_once_after_they_change) {
  const auto device = testing::host_device(cpu::backend());
  Storage storage(*device);
  Arena arena(*device);
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {1, 2}));
  const auto w = graph.parameter("w", matrix_spec(DType::f32, {1, 2}));
  graph.output("y", graph.add("y", ops::Dense{},
                              {x, graph.add("tanh w", ops::Activate{Activation::tanh}, {w})[0]})[0]);
  Program program(*device, storage, arena,
                  plan_program(lower(graph, {}), device->backend(), device->selection()));
  const std::array<float, 2> ones{1, 1}, weights{0.5f, 0.25f};
  device->upload(program.input("x").data, std::as_bytes(std::span(ones)));
  storage.write("w", std::as_bytes(std::span(weights)));
  program.prepare();
  program.run();
  const float expected = std::tanh(0.5f) + std::tanh(0.25f);
  EXPECT_NEAR(*program.output("y").as<float>(), expected, 1e-5);
  const std::array<float, 2> zeros{0, 0};
  storage.write("w", std::as_bytes(std::span(zeros)));
  program.run();
  EXPECT_NEAR(*program.output("y").as<float>(), expected, 1e-5)
      << "the weights were prepared again without being asked";
  program.prepare();
  program.run();
  EXPECT_EQ(*program.output("y").as<float>(), 0);
}

TEST(storage, a_tensor_keeps_its_shape) {
  const auto device = testing::host_device(reference::backend());
  Storage storage(*device);
  storage.tensor("w", matrix_spec(DType::f32, {2, 3}));
  EXPECT_THROW(storage.tensor("w", matrix_spec(DType::f32, {3, 2})), ShapeError);
  EXPECT_THROW(storage.write("w", {}), DataError);
}

}  // namespace
}  // namespace scrawl
