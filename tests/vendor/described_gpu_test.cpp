/// Graphs that the real cuDNN plans, for a GPU that is not here: since version 9.8 a description of one is
/// enough. Engines that compile their kernels as they plan need a driver, and are not among these.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "kernels/cuda/vendor/conv2d_graph.h"

namespace scrawl::cuda {
namespace {

/// An H200.
constexpr std::string_view h200 = R"({
  "deviceName": "NVIDIA H200", "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "pciDeviceId": 0,
  "isTccDriver": 0, "supportCoopLaunch": 1, "multiProcessorCount": 132, "warpSize": 32, "regsPerBlock": 65536,
  "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
  "totalGlobalMem": 150754820096, "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
  "smClockRateKHz": 1980000, "memClockRateKHz": 3201000, "l2CacheSize": 62914560})";

View described(DType type, const Shape& shape) { return make_view(nullptr, type, shape); }

class DescribedGpu : public testing::Test {
 protected:
  void SetUp() override {
    try {
      properties_ = std::make_unique<Descriptor>(cudnn(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
      properties_
          ->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, std::ssize(h200) + 1, h200.data())
          .finalize("an H200");
    } catch (const DeviceError& error) {
      GTEST_SKIP() << "no cuDNN that plans without a GPU: " << error.what();
    }
  }

  template <class Call>
  EnginePlan plan(Call call, const EngineLimits& limits = {}) const {
    return graph_of(cudnn(), call).plan({.properties = properties_.get()}, limits);
  }

  std::unique_ptr<Descriptor> properties_;
};

// The second convolution of the CRNN.
constexpr Conv2dParams same{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
const Shape x{64, 32, 32, 128}, w{64, 32, 3, 3}, y{64, 64, 32, 128};

TEST_F(DescribedGpu, has_engines_for_convolutions_in_each_type) {
  for (const auto type : {DType::bf16, DType::f16, DType::f32}) {
    plan(Conv2dForward{
        .params = same, .x = described(type, x), .w = described(type, w), .y = described(type, y)});
    plan(Conv2dBackwardData{
        .params = same, .dy = described(type, y), .w = described(type, w), .dx = described(type, x)});
    plan(Conv2dBackwardWeight{
        .params = same, .x = described(type, x), .dy = described(type, y), .dw = described(type, w)});
  }
}

TEST_F(DescribedGpu, names_engines_for_a_search_of_which_some_can_be_planned) {
  const PlannedFor gpu{.properties = properties_.get()};
  for (const auto type : {DType::bf16, DType::f16, DType::f32}) {
    Conv2dForward call{
        .params = same, .x = described(type, x), .w = described(type, w), .y = described(type, y)};
    int planned = 0, others = 0;
    std::set<std::string> names;
    for (auto& offer : graph_of(cudnn(), call).offers(gpu)) try {
        EXPECT_TRUE(names.insert(offer.name()).second) << offer.name() << " is named twice";
        std::move(offer).plan(gpu, {});
        ++planned;
      } catch (const std::runtime_error& why) {
        EXPECT_STRNE(why.what(), "");
        ++others;
      }
    EXPECT_TRUE(std::ranges::any_of(names, [](const auto& name) { return name.ends_with("choice 2"); }))
        << "knobs are not told apart";
    RecordProperty(std::string(name_of(type)), fmt::format("{} planned, {} not", planned, others));
    EXPECT_GT(planned, 0) << name_of(type) << ": " << others << " were refused";
  }
}

TEST_F(DescribedGpu, sums_what_it_convolves_in_f16) {
  Conv2dMomentsForward call{.params = same,
                            .x = described(DType::f16, x),
                            .w = described(DType::f16, w),
                            .y = described(DType::f16, y),
                            .mean = described(DType::f32, {64}),
                            .variance = described(DType::f32, {64})};
  const PlannedFor gpu{.properties = properties_.get()};
  EXPECT_FALSE(graph_of(cudnn(), call).offers(gpu).empty());
}

TEST_F(DescribedGpu, fuses_bias_and_relu) {
  Conv2dForward call{.params = same,
                     .activation = Activation::relu,
                     .x = described(DType::f32, x),
                     .w = described(DType::f32, w),
                     .b = described(DType::f32, {64}),
                     .y = described(DType::f32, y)};
  for (const auto products : {F32Products::exact, F32Products::tf32})
    plan(call, limits_of(DType::f32, {.f32_products = products}));
}

TEST_F(DescribedGpu, has_engines_for_strides_dilation_groups_and_uneven_padding) {
  const Conv2dParams params{.stride_h = 2,
                            .stride_w = 2,
                            .pad_top = 2,
                            .pad_left = 1,
                            .pad_bottom = 3,
                            .pad_right = 2,
                            .dilation_h = 2,
                            .dilation_w = 2,
                            .groups = 4};
  const Shape image{8, 32, 33, 33}, weights{64, 8, 3, 3};
  plan(Conv2dForward{.params = params,
                     .x = described(DType::bf16, image),
                     .w = described(DType::bf16, weights),
                     .y = described(DType::bf16, conv2d_output(params, image, weights))});
}

TEST_F(DescribedGpu, says_why_it_takes_no_operands_that_disagree) {
  try {
    plan(Conv2dForward{.params = same,
                       .x = described(DType::bf16, x),
                       .w = described(DType::bf16, {64, 31, 3, 3}),
                       .y = described(DType::bf16, y)});
    FAIL() << "31 channels are not 32";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("CUDNN_STATUS_BAD_PARAM"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace scrawl::cuda
