/// The device over the CUDA runtime, on simt's.

#include "runtime/device/cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "kernels/cuda/device/runtime.h"
#include "kernels/simt/runtime.h"
#include "tests/simt/queue_kernels.h"

namespace scrawl::simt {
namespace {

using testing::HasSubstr;

std::string message_of_opening(const Controls& controls) {
  runtime().control(controls);
  try {
    simt::open_device({.device = "simt"});
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.code(), ExitCode::device);
    return error.what();
  }
  return "";
}

TEST(cuda_device, says_why_it_cannot_be_opened) {
  EXPECT_EQ(message_of_opening({}), "");
  EXPECT_EQ(message_of_opening({.driver_version = 0}), "device simt: no NVIDIA driver is installed");
  EXPECT_EQ(message_of_opening({.driver_version = 12090}),
            "device simt: the NVIDIA driver is too old: expected one for CUDA 13.0, got one for 12.9");
  EXPECT_EQ(message_of_opening({.devices = 0}),
            "device simt: no GPU is visible (CUDA_VISIBLE_DEVICES may hide it)");
  EXPECT_EQ(message_of_opening({.compute_capability = 7}),
            "device simt: expected a GPU of compute capability 8.0 or later, got 7.0");
  EXPECT_EQ(message_of_opening({.failure = {.call = 1, .function = "cudaSetDevice"}}),
            "device simt: cudaErrorUnknown: unknown error");
  EXPECT_THAT(message_of_opening({.failure = {.call = 1, .function = "cudaStreamCreateWithFlags"}}),
              HasSubstr("cudaErrorUnknown: unknown error (cuda.cpp:"));
}

TEST(cuda_device, is_listed_with_what_it_is_or_lacks) {
  runtime().control({});
  const auto listed = simt::summary();
  EXPECT_EQ(listed.name, "simt");
  EXPECT_EQ(listed.unusable, "");
  EXPECT_THAT(listed.hardware, HasSubstr("simt, compute capability 8.0, 108 multiprocessors"));
  EXPECT_THAT(listed.libraries, HasSubstr("13.0"));
  runtime().control({.capacity = 3 << 20, .devices = 2, .compute_capability = 9, .multiprocessors = 132});
  const auto gpus = simt::summary().gpus;
  ASSERT_EQ(gpus.size(), 2u);
  for (const auto& gpu : gpus) {
    EXPECT_EQ(gpu.name, "simt");
    EXPECT_EQ(gpu.compute_capability, "9.0");
    EXPECT_EQ(gpu.memory_bytes, 3u << 20);
    EXPECT_EQ(gpu.multiprocessors, 132);
  }
  runtime().control({.devices = 0});
  EXPECT_THAT(simt::summary().unusable, HasSubstr("no GPU is visible"));
  for (std::uint64_t call = 1; call < 10; ++call) {
    runtime().control({.failure = {.call = call}});
    EXPECT_THAT(simt::summary().unusable, HasSubstr("cudaErrorUnknown")) << call;
  }
}

TEST(cuda_device, buffers_are_zeroed_aligned_and_given_back) {
  runtime().control({});
  {
    const auto device = simt::open_device({});
    const Buffer buffer(*device, 1000), empty(*device, 0);
    std::vector<unsigned char> bytes(1000, 7);
    device->download(std::as_writable_bytes(std::span(bytes)), buffer.data());
    EXPECT_THAT(bytes, testing::Each(0));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u);
    EXPECT_EQ(runtime().live(), (Live{.allocations = 1, .bytes = 1000, .streams = 1}));
  }
  EXPECT_EQ(runtime().live(), Live{});
}

TEST(cuda_device, copies_come_after_the_work_of_the_stream) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    runtime().control({.schedule = {.seed = seed}});
    const auto device = simt::open_device({});
    const auto stream = reinterpret_cast<cudaStream_t>(device->stream());
    const Buffer buffer(*device, 256);
    auto* const x = reinterpret_cast<int*>(buffer.data());
    std::vector<int> values(64);
    std::iota(values.begin(), values.end(), 0);
    check(queued::mix(x, 64, 5, stream), "mix");
    device->upload(x, std::as_bytes(std::span(values)));
    check(queued::mix(x, 64, 1, stream), "mix");
    device->download(std::as_writable_bytes(std::span(values)), x);
    for (int i = 0; i < 64; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], 31 * i + 1);
  }
}

TEST(cuda_device, memory_that_runs_out_is_a_memory_error) {
  runtime().control({.capacity = 1000});
  const auto device = simt::open_device({});
  const Buffer buffer(*device, 600);
  try {
    Buffer(*device, 500);
    FAIL();
  } catch (const MemoryError& error) {
    EXPECT_EQ(error.code(), ExitCode::memory);
    EXPECT_THAT(error.what(), HasSubstr("500 bytes"));
    EXPECT_THAT(error.what(), HasSubstr("400 of 1000 are free"));
  }
}

TEST(cuda_device, a_kernel_that_fails_is_a_device_error_with_its_report) {
  runtime().control({});
  testing::internal::CaptureStderr();
  {
    const auto device = simt::open_device({});
    const Buffer buffer(*device, 256);
    check(queued::write_behind_the_end(reinterpret_cast<int*>(buffer.data()), 64,
                                       reinterpret_cast<cudaStream_t>(device->stream())),
          "write_behind_the_end");
    try {
      device->synchronize();
      FAIL();
    } catch (const DeviceError& error) {
      EXPECT_THAT(error.what(), HasSubstr("cudaErrorIllegalAddress"));
      EXPECT_THAT(error.what(), HasSubstr("cuda.cpp:"));
      EXPECT_THAT(error.what(), HasSubstr("write_behind_the_end: block (0, 0, 0), lane"));
    }
  }  // destructors log, they do not throw
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("cudaErrorIllegalAddress"));
  runtime().control({});
}

TEST(cuda_device, whichever_call_fails_the_error_is_typed_and_nothing_leaks) {
  const auto use = [] {
    const auto device = simt::open_device({});
    const Buffer buffer(*device, 256);
    std::vector<std::byte> bytes(256);
    device->upload(buffer.data(), bytes);
    device->download(bytes, buffer.data());
  };
  runtime().control({});
  use();
  const auto calls = runtime().calls();
  EXPECT_GT(calls, 10u);
  int logged = 0;
  for (std::uint64_t n = 1; n <= calls; ++n) {
    runtime().control({.failure = {.call = n, .error = cudaErrorUnknown}});
    testing::internal::CaptureStderr();
    bool thrown = false;
    try {
      use();
    } catch (const DeviceError& error) {
      thrown = true;
      EXPECT_THAT(error.what(), HasSubstr("cudaErrorUnknown")) << n;
    }
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(thrown, !log.empty()) << "call " << n << ": " << log;
    logged += !log.empty();
    EXPECT_EQ(thrown, runtime().live() == Live{}) << "call " << n;
  }
  EXPECT_EQ(logged, 2) << "of the buffer and of the stream";
  runtime().control({});
}

TEST(cuda_device, marks_come_in_the_order_of_the_stream_and_wait_for_nothing) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    runtime().control({.schedule = {.seed = seed}});
    {
      const auto device = simt::open_device({});
      const auto stream = reinterpret_cast<cudaStream_t>(device->stream());
      const Buffer buffer(*device, 256);
      const auto marks = event_marks(device->stream());
      EXPECT_TRUE(marks->read_us().empty());
      for (const int calls : {3, 1, 3}) {
        marks->mark();
        for (int i = 0; i < calls; ++i) {
          check(queued::mix(reinterpret_cast<int*>(buffer.data()), 64, i, stream), "mix");
          marks->mark();
        }
        const auto times = marks->read_us();
        EXPECT_LE(times.back(), steady_us());
        ASSERT_EQ(times.size(), static_cast<std::size_t>(calls + 1));
        EXPECT_TRUE(std::ranges::is_sorted(times, std::less_equal())) << testing::PrintToString(times);
      }
      EXPECT_EQ(runtime().live().events, 1u + 4u) << "events are made once";
    }
    EXPECT_EQ(runtime().live(), Live{});
  }
}

TEST(cuda_device, whichever_call_fails_marks_say_so_and_nothing_leaks) {
  const auto use = [] {
    const auto device = simt::open_device({});
    const auto marks = event_marks(device->stream());
    marks->mark();
    marks->mark();
    marks->read_us();
  };
  runtime().control({});
  use();
  const auto calls = runtime().calls();
  for (std::uint64_t n = 1; n <= calls; ++n) {
    runtime().control({.failure = {.call = n, .error = cudaErrorUnknown}});
    testing::internal::CaptureStderr();
    bool thrown = false;
    try {
      use();
    } catch (const DeviceError& error) {
      thrown = true;
      EXPECT_THAT(error.what(), HasSubstr("cudaErrorUnknown")) << n;
    }
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(thrown, !log.empty()) << "call " << n << ": " << log;
    EXPECT_EQ(thrown, runtime().live() == Live{}) << "call " << n;
  }
  runtime().control({});
}

TEST(cuda_device, counts_lanes_and_not_time) {
  runtime().control({});
  const auto device = simt::open_device({});
  const Buffer buffer(*device, 256);
  const auto before = device->work_counts();
  check(queued::mix(reinterpret_cast<int*>(buffer.data()), 64, 1,
                    reinterpret_cast<cudaStream_t>(device->stream())),
        "mix");
  const auto after = device->work_counts();
  EXPECT_EQ(*after.lanes, *before.lanes + 64);
  EXPECT_THROW(device->marks(), DeviceError);
}

TEST(cuda_device, stores_networks_in_three_types_and_may_round_products_to_tf32) {
  runtime().control({});
  const auto device = simt::open_device({});
  for (const auto type : {DType::f32, DType::bf16, DType::f16})
    EXPECT_NO_THROW(device->require(type, F32Products::exact));
  EXPECT_NO_THROW(device->require(DType::f32, F32Products::tf32));
  EXPECT_THROW(device->require(DType::f64, F32Products::exact), DeviceError);
  EXPECT_EQ(device->name(), "simt");
  EXPECT_EQ(device->backend().name, "simt");
  EXPECT_EQ(device->selection().multiprocessors, 108);
}

}  // namespace
}  // namespace scrawl::simt
