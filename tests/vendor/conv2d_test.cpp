/// Convolutions by cuDNN, on a library that runs graphs from the descriptors that it is given: a wrong
/// stride, padding or number of groups is a wrong number.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "kernels/cuda/vendor/cudnn.h"
#include "kernels/cuda/vendor/libraries.h"
#include "kernels/cuda/vendor/norm_graph.h"
#include "kernels/cuda/vendor/search.h"
#include "kernels/cuda/vendor/variants.h"
#include "kernels/reference/backend.h"
#include "kernels/reference/tensor.h"
#include "tests/vendor/fake_engines.h"

namespace scrawl::cuda {
namespace {

using reference::Tensor;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

View described(DType type, const Shape& shape) {
  return make_view(nullptr, type, shape, shape.rank == 4 ? Order::channels_last : Order::row_major);
}

/// Aligned memory for a view, with small integers.
class Memory {
 public:
  explicit Memory(View& view)
      : bytes_(static_cast<std::size_t>(view.shape.count()) * size_of(view.type) + 64) {
    const auto start = reinterpret_cast<std::uintptr_t>(bytes_.data());
    view.data = bytes_.data() + (64 - start % 64) % 64;
    static std::minstd_rand random(5);
    std::uniform_int_distribution<int> integer(-2, 2);
    Tensor values(view.shape);
    for (double& value : values.values()) value = integer(random);
    values.store(view);
  }

 private:
  std::vector<std::byte> bytes_;
};

template <class Call>
Plan<Call> plan(Call& call, const Selection& selection = {}) {
  return first_variant<Call>("convolution", vendor_variants(call), call, selection);
}

/// Runs what cuDNN's variant plans, with the operands as it places them, and expects what the reference
/// makes.
template <class Call>
void expect_as_reference(Planner<Call> Backend::*planner, Call call,
                         std::initializer_list<View Call::*> inputs, View Call::*output) {
  const auto made = plan(call);
  std::vector<Memory> memory;
  for (const auto member : inputs)
    if ((call.*member).present()) memory.emplace_back(call.*member);
  memory.emplace_back(call.*output);
  std::vector<std::byte> workspace(made.workspace_bytes);
  made.run(call, workspace, nullptr);
  const Tensor got(call.*output);

  Call expected = call;
  const Memory result(expected.*output);
  const auto specified = (reference::backend().*planner)(expected, {});
  std::vector<std::byte> scratch(specified.workspace_bytes);
  specified.run(expected, scratch, nullptr);
  EXPECT_THAT(got.values(), testing::ElementsAreArray(Tensor(expected.*output).values()));
}

constexpr Conv2dParams plain{};
constexpr Conv2dParams every{.stride_h = 2,
                             .stride_w = 3,
                             .pad_top = 1,
                             .pad_left = 2,
                             .pad_bottom = 3,
                             .pad_right = 0,
                             .dilation_h = 2,
                             .dilation_w = 1,
                             .groups = 2};

struct Shapes {
  Conv2dParams params;
  Shape x, w;
};
const Shapes shapes[] = {{plain, {2, 3, 5, 6}, {4, 3, 3, 2}}, {every, {2, 4, 9, 11}, {6, 2, 3, 2}}};

class Convolutions : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("SCRAWL_CUDNN", SCRAWL_FAKE_CUDNN, 1); }
};

TEST_F(Convolutions, forward_are_right_with_every_parameter_bias_and_activation) {
  for (const auto& [params, x, w] : shapes)
    for (const auto type : {DType::f32, DType::bf16, DType::f16})
      for (const auto& b : {View{}, described(DType::f32, {w[0]})})
        for (const auto activation : {Activation::none, Activation::relu})
          expect_as_reference(&Backend::conv2d_forward,
                              Conv2dForward{.params = params,
                                            .activation = activation,
                                            .x = described(type, x),
                                            .w = described(type, w),
                                            .b = b,
                                            .y = described(type, conv2d_output(params, x, w))},
                              {&Conv2dForward::x, &Conv2dForward::w, &Conv2dForward::b}, &Conv2dForward::y);
}

TEST_F(Convolutions, backward_for_data_are_right) {
  for (const auto& [params, x, w] : shapes)
    for (const auto type : {DType::f32, DType::bf16})
      expect_as_reference(&Backend::conv2d_backward_data,
                          Conv2dBackwardData{.params = params,
                                             .dy = described(type, conv2d_output(params, x, w)),
                                             .w = described(type, w),
                                             .dx = described(type, x)},
                          {&Conv2dBackwardData::dy, &Conv2dBackwardData::w}, &Conv2dBackwardData::dx);
}

TEST_F(Convolutions, backward_for_weights_are_right) {
  for (const auto& [params, x, w] : shapes)
    for (const auto type : {DType::f32, DType::bf16})
      expect_as_reference(&Backend::conv2d_backward_weight,
                          Conv2dBackwardWeight{.params = params,
                                               .x = described(type, x),
                                               .dy = described(type, conv2d_output(params, x, w)),
                                               .dw = described(DType::f32, w)},
                          {&Conv2dBackwardWeight::x, &Conv2dBackwardWeight::dy}, &Conv2dBackwardWeight::dw);
}

TEST_F(Convolutions, are_placed_channels_last) {
  Conv2dForward call{.x = make_view(nullptr, DType::bf16, {2, 3, 5, 6}),
                     .w = make_view(nullptr, DType::bf16, {4, 3, 3, 2}),
                     .y = make_view(nullptr, DType::bf16, {2, 4, 3, 5})};
  plan(call);
  for (const auto& view : {call.x, call.w, call.y}) EXPECT_TRUE(is_plain(view, Order::channels_last));
}

Conv2dForward small(DType type) {
  return {.x = described(type, {2, 3, 5, 6}),
          .w = described(type, {4, 3, 3, 2}),
          .y = described(type, {2, 4, 3, 5})};
}

TEST_F(Convolutions, take_no_engine_that_changes_bits_or_rounds_more_than_allowed) {
  auto bf16 = small(DType::bf16), f32 = small(DType::f32);
  EXPECT_EQ(plan(bf16).workspace_bytes, 4096) << "tensor cores";
  EXPECT_EQ(plan(f32, {.f32_products = F32Products::tf32}).workspace_bytes, 4096) << "tensor cores";
  EXPECT_EQ(plan(f32).workspace_bytes, 64) << "none";
}

TEST_F(Convolutions, are_searched_among_all_engines_that_a_bench_may_run) {
  auto call = small(DType::bf16);
  std::vector<std::string> names, refused;
  for (const auto& each : all_plans(call, {})) try {
      names.push_back(each.name);
      each.plan();
    } catch (const std::runtime_error& why) {
      names.pop_back();
      refused.push_back(each.name + ": " + why.what());
    }
  EXPECT_THAT(names, testing::ElementsAre("engine 0, whose bits do not repeat", "engine 6", "engine 7",
                                          "engine 8", "engine 9", "engine 7, choice 2"));
  EXPECT_THAT(refused, testing::ElementsAre(HasSubstr("engine 1: transforms its operands"),
                                            HasSubstr("engine 2: transforms its operands"),
                                            HasSubstr("engine 3: rounds its operands"),
                                            HasSubstr("engine 4: needs a workspace of"),
                                            HasSubstr("fake: this engine makes no plan")));
}

TEST_F(Convolutions, with_widths_are_refused_by_name) {
  auto call = small(DType::bf16);
  call.y_widths = described(DType::i32, {2});
  try {
    plan(call);
    FAIL() << "cuDNN knows no widths";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("cudnn: needs images of one width: it knows no y_widths"));
  }
}

TEST_F(Convolutions, of_operands_that_are_not_aligned_fail_by_name) {
  auto call = small(DType::bf16);
  const auto made = plan(call);
  Memory x(call.x), w(call.w), y(call.y);
  call.w.data = call.w.as<std::byte>() + 2;
  std::vector<std::byte> workspace(made.workspace_bytes);
  try {
    made.run(call, workspace, nullptr);
    FAIL() << "w is not aligned";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("operand 1: expected an address aligned to 16 bytes"));
  }
}

/// In inference batch norm is a chain of pointwise functions.
TEST_F(Convolutions, share_their_graphs_with_batch_norm) {
  const Shape x{2, 3, 4, 5}, c{3};
  BatchNormInference call{.x = described(DType::f32, x),
                          .gamma = described(DType::f32, c),
                          .beta = described(DType::f32, c),
                          .mean = described(DType::f32, c),
                          .variance = described(DType::f32, c),
                          .y = described(DType::f32, x)};
  const auto made = first_variant<BatchNormInference>("batch_norm", vendor_variants(call), call, {});
  Memory memory[] = {Memory(call.x),    Memory(call.gamma),    Memory(call.beta),
                     Memory(call.mean), Memory(call.variance), Memory(call.y)};
  Tensor variance(c, 0.5);
  variance.store(call.variance);
  std::vector<std::byte> workspace(made.workspace_bytes);
  made.run(call, workspace, nullptr);
  const Tensor got(call.y);
  auto expected = call;
  const Memory result(expected.y);
  reference::backend().batch_norm_inference(expected, {}).run(expected, {}, nullptr);
  const Tensor want(expected.y);
  for (std::size_t i = 0; i < want.values().size(); ++i) EXPECT_NEAR(got.values()[i], want.values()[i], 1e-5);
}

TEST_F(Convolutions, report_the_library) {
  const auto report = cudnn_report();
  EXPECT_EQ(report.unusable, "");
  EXPECT_THAT(report.path, HasSubstr("fake_cudnn"));
  EXPECT_EQ(report.version, "9.99.0");
}

TEST(CudnnLibrary, of_another_major_version_is_refused) {
  setenv("SCRAWL_OLD_CUDNN", SCRAWL_OLD_CUDNN, 1);
  try {
    const Cudnn old({"cuDNN", "SCRAWL_OLD_CUDNN", {}, {}});
    FAIL() << "too old";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("expected version 9"), HasSubstr("got 8.9.7")));
  }
}

/// In a process of its own: a handle lives as long as a plan that has it.
TEST(CudnnLibrary, without_a_gpu_is_a_reason_to_refuse) {
  setenv("SCRAWL_CUDNN", SCRAWL_FAKE_CUDNN, 1);
  setenv("FAKE_CUDNN_NO_GPU", "1", 1);
  auto call = small(DType::bf16);
  try {
    plan(call);
    FAIL() << "no GPU";
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("a handle: FAKE_STATUS: fake: no GPU"));
  }
  unsetenv("FAKE_CUDNN_NO_GPU");
}

}  // namespace
}  // namespace scrawl::cuda
