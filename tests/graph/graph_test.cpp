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

TEST(planning, every_call_that_no_variant_takes_is_named_at_once) {
  Graph graph;
  const auto x = graph.input("x", image_spec(DType::f32, {1, 2, 8, 8}));
  const auto pooled = graph.add("first", ops::Pool{}, {x})[0];
  const auto sum = graph.add("sum", ops::Sum{}, {pooled, pooled})[0];
  graph.output("y", graph.add("second", ops::Pool{}, {sum})[0]);
  Backend picky = cpu::backend();
  picky.pool_forward = nullptr;
  try {
    plan_program(graph, {}, picky, {});
    FAIL() << "planned without a kernel";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("2 calls"));
    EXPECT_THAT(error.what(), HasSubstr("first pool_forward: backend cpu has no pool_forward"));
    EXPECT_THAT(error.what(), HasSubstr("second pool_forward: backend cpu has no pool_forward"));
  }
}

TEST(planning, for_libraries_alone_takes_fused_operators_apart) {
  Graph graph;
  const auto x = graph.input("x", image_spec(DType::f32, {1, 4, 8, 8}));
  const auto channels = [&](const char* name) { return graph.input(name, matrix_spec(DType::f32, {4})); };
  const auto y = graph.add("norm", ops::BatchNormPool{},
                           {x, channels("gamma"), channels("beta"), channels("mean"), channels("variance"),
                            no_tensor, no_tensor})[0];
  graph.output("y", y);
  const auto nodes = [&](KernelSet kernels) {
    return decompose(graph, cpu::backend(), {.kernels = kernels}).nodes().size();
  };
  EXPECT_EQ(nodes(KernelSet::automatic), 1u);
  EXPECT_EQ(nodes(KernelSet::vendor), 2u);
}

TEST(planning, a_loss_that_is_no_output_is_an_error) {
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {2}));
  const auto loss = graph.add("loss", ops::Mean{}, {x})[0];
  EXPECT_THROW(plan_program(graph, {.loss = loss, .optimizer = {}}, cpu::backend(), {}), InternalError);
}

TEST(programs, move_whole_tensors_from_and_to_the_host) {
  const auto device = testing::host_device(cpu::backend());
  Storage storage(*device);
  Arena arena(*device);
  Graph graph;
  const auto x = graph.input("x", matrix_spec(DType::f32, {1, 3}));
  graph.output("y", graph.add("twice", ops::Sum{}, {x, x})[0]);
  Program program(*device, storage, arena, graph, {});
  program.write("x", std::vector<float>{1, -2, 3});
  program.run();
  EXPECT_EQ(program.read<float>("y"), (std::vector<float>{2, -4, 6}));
  EXPECT_THROW(program.write("x", std::vector<float>{1, 2}), DataError);
  EXPECT_THROW(program.write("x", std::vector<double>{1, 2, 3}), DataError);
  EXPECT_THROW(program.read<double>("y"), DataError);
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
