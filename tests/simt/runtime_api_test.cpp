/// Memory, errors and controls of simt's CUDA runtime.

#include "kernels/simt/runtime_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/simt/runtime.h"
#include "tests/simt/on_device.h"
#include "tests/simt/queue_kernels.h"

namespace scrawl::simt {
namespace {

using testing::HasSubstr;

TEST(runtime_api, a_kernel_between_copies_does_its_work_under_every_seed) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    auto* const x = new_ints(64);
    std::vector<int> values(64, 2);
    OK(cudaMemcpyAsync(x, values.data(), 256, cudaMemcpyHostToDevice, stream));
    OK(queued::mix(x, 64, 3, stream));
    queued::Values arguments;
    std::fill_n(arguments.values, 64, 4);
    OK(queued::mix_values(x, arguments, stream));
    std::vector<int> results(64);
    OK(cudaMemcpyAsync(results.data(), x, 256, cudaMemcpyDefault, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT_THAT(results, testing::Each((2 * 31 + 3) * 31 + 4));
  }
}

TEST(runtime_api, launches_that_a_gpu_refuses_are_refused_at_once) {
  begin();
  const auto stream = new_stream();
  auto* const x = new_ints(64);
  EXPECT_EQ(queued::ask_for_too_many_threads(x, stream), cudaErrorInvalidConfiguration);
  EXPECT_THAT(last_report(), HasSubstr("1 to 1024 threads"));
  EXPECT_EQ(queued::pass_too_many_bytes(stream), cudaErrorInvalidValue);
  EXPECT_THAT(last_report(), HasSubstr("at most 4096 bytes"));
  OK(cudaStreamSynchronize(stream));
}

TEST(runtime_api, blocks_together_are_no_more_than_multiprocessors) {
  for (const int multiprocessors : {4, 108}) {
    runtime().control({.multiprocessors = multiprocessors});
    const auto stream = new_stream();
    const auto blocks = static_cast<unsigned>(multiprocessors);
    auto* const x = new_ints(blocks);
    auto* const flags = reinterpret_cast<std::uint32_t*>(new_ints(blocks));
    OK(cudaMemsetAsync(x, 0, blocks * sizeof(int), stream));
    OK(cudaMemsetAsync(flags, 0, blocks * sizeof(int), stream));
    EXPECT_STREQ(cudaGetErrorName(queued::relay(x, flags, blocks + 1, stream)),
                 "cudaErrorCooperativeLaunchTooLarge");
    EXPECT_THAT(last_report(), HasSubstr("relay: expected at most " + std::to_string(multiprocessors)));
    OK(queued::relay(x, flags, blocks, stream));
    int last = 0;
    OK(cudaMemcpyAsync(&last, x + blocks - 1, sizeof last, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(last, multiprocessors - 1);
  }
}

TEST(runtime_api, the_default_stream_is_refused) {
  begin();
  auto* const x = new_ints(64);
  EXPECT_EQ(queued::mix(x, 64, 1, nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaMemsetAsync(x, 0, 4, nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorInvalidResourceHandle);
}

TEST(runtime_api, memory_is_undefined_until_written_from_the_host_or_set) {
  begin();
  auto& device = runtime();
  const auto stream = new_stream();
  auto* const x = new_ints(64);
  auto* const y = new_ints(64);
  float value = 0;
  OK(cudaMemcpyAsync(&value, x, 4, cudaMemcpyDeviceToHost, stream));
  OK(cudaStreamSynchronize(stream));
  EXPECT_TRUE(std::isnan(value));

  OK(cudaMemsetAsync(x, 0, 128, stream));  // half of it
  OK(cudaMemcpyAsync(y, x, 256, cudaMemcpyDeviceToDevice, stream));
  OK(queued::mix(y, 32, 1, stream));
  OK(cudaStreamSynchronize(stream));
  OK(queued::mix(y, 33, 1, stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
  EXPECT_THAT(last_report(), HasSubstr("nobody has written"));
  EXPECT_EQ(device.live().allocations, 2u);
}

TEST(runtime_api, copies_and_sets_stay_in_their_allocation_and_on_their_side) {
  begin();
  const auto stream = new_stream();
  auto* const x = new_ints(64);
  std::vector<int> host(128);
  const auto refused = [](cudaError_t error, const char* words) {
    EXPECT_EQ(error, cudaErrorInvalidValue);
    EXPECT_THAT(last_report(), HasSubstr(words));
  };
  refused(cudaMemcpyAsync(x, host.data(), 257, cudaMemcpyHostToDevice, stream), "257 bytes");
  refused(cudaMemcpyAsync(host.data(), x + 60, 20, cudaMemcpyDeviceToHost, stream), "20 bytes");
  refused(cudaMemcpyAsync(x - 1, host.data(), 8, cudaMemcpyHostToDevice, stream), "8 bytes");
  refused(cudaMemcpyAsync(x, host.data(), 8, cudaMemcpyDeviceToDevice, stream), "memory of the device");
  refused(cudaMemcpyAsync(x, x, 8, cudaMemcpyDeviceToHost, stream), "memory of the host");
  refused(cudaMemsetAsync(x + 63, 0, 5, stream), "5 bytes");
  refused(cudaMemsetAsync(host.data(), 0, 4, stream), "memory of the device");
  OK(cudaMemcpyAsync(nullptr, nullptr, 0, cudaMemcpyDefault, stream));
  OK(cudaDeviceSynchronize());
}

TEST(runtime_api, what_was_released_is_not_used_again) {
  begin();
  const auto stream = new_stream();
  auto* const x = new_ints(64);
  OK(cudaFree(x));
  EXPECT_EQ(cudaFree(x), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(x, 0, 4, stream), cudaErrorInvalidValue);
  OK(queued::mix(x, 64, 1, stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
}

TEST(runtime_api, memory_is_released_after_the_work_that_uses_it) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto one = new_stream(), other = new_stream();
    auto* const x = new_ints(64);
    auto* const y = new_ints(64);
    std::vector<int> host(64, 1);
    OK(cudaMemcpyAsync(x, host.data(), 256, cudaMemcpyHostToDevice, one));
    OK(queued::mix(x, 64, 1, one));
    OK(cudaMemsetAsync(y, 1, 256, other));
    OK(cudaFree(x));
    int value = 0;
    void* pinned = nullptr;
    OK(cudaMallocHost(&pinned, 4));
    OK(cudaMemcpyAsync(pinned, y, 4, cudaMemcpyDeviceToHost, other));
    OK(cudaMemcpyAsync(&value, pinned, 4, cudaMemcpyHostToHost, other));
    OK(cudaFreeHost(pinned));
    EXPECT_EQ(value, 0x01010101);
    OK(cudaFree(nullptr));
    OK(cudaFreeHost(nullptr));
    EXPECT_EQ(cudaFreeHost(pinned), cudaErrorInvalidValue);
  }
}

TEST(runtime_api, memory_runs_out_at_the_capacity) {
  runtime().control({.capacity = 1000});
  void *first = nullptr, *second = &first;
  OK(cudaMalloc(&first, 600));
  EXPECT_EQ(cudaMalloc(&second, 401), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(last_report(), "401 bytes asked for, 400 of 1000 are free");
  std::size_t free = 0, total = 0;
  OK(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 400u);
  EXPECT_EQ(total, 1000u);
  OK(cudaMalloc(&second, 400));
  OK(cudaFree(first));
  OK(cudaMalloc(&first, 600));
  EXPECT_EQ(cudaMalloc(&first, std::size_t{1} << 63), cudaErrorMemoryAllocation);
  OK(cudaMalloc(&first, 0));
  EXPECT_EQ(first, nullptr);
}

TEST(runtime_api, what_is_not_released_is_counted) {
  begin();
  auto& device = runtime();
  EXPECT_EQ(device.live(), Live{});
  auto* const x = new_ints(64);
  void* pinned = nullptr;
  OK(cudaMallocHost(&pinned, 10));
  const auto stream = new_stream();
  const auto event = new_event();
  cudaGraph_t graph = nullptr;
  OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  OK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  OK(cudaGraphInstantiate(&executable, graph));
  EXPECT_EQ(device.live(), (Live{.allocations = 1,
                                 .bytes = 256,
                                 .host_allocations = 1,
                                 .streams = 1,
                                 .events = 1,
                                 .graphs = 1,
                                 .executable_graphs = 1}));
  OK(cudaFree(x));
  OK(cudaFreeHost(pinned));
  OK(cudaStreamDestroy(stream));
  OK(cudaEventDestroy(event));
  OK(cudaGraphDestroy(graph));
  OK(cudaGraphExecDestroy(executable));
  EXPECT_EQ(device.live(), Live{});
  EXPECT_EQ(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaErrorInvalidResourceHandle);
  EXPECT_NE(new_stream(), stream) << "a handle was given out twice";
}

TEST(runtime_api, a_wrong_kernel_breaks_the_device_until_its_reset) {
  struct Wrong {
    cudaError_t (*launch)(int* x, cudaStream_t);
    cudaError_t error;
    const char* words;
  };
  for (const auto& [launch_wrong, error, words] :
       {Wrong{[](int*x, cudaStream_t stream) { return queued::write_behind_the_end(x, 64, stream); },
              cudaErrorIllegalAddress, "write_behind_the_end"},
        Wrong{[](int*x, cudaStream_t stream) { return queued::write_misaligned(x, stream); },
              cudaErrorMisalignedAddress, "8 bytes"},
        Wrong{[](int*, cudaStream_t stream) { return queued::wait_for_nobody(stream); },
              cudaErrorLaunchFailure, "wait_for_nobody"}})
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      begin(seed);
      const auto stream = new_stream();
      auto* const x = new_ints(64);
      bool called = false;
      OK(launch_wrong(x, stream));
      const auto queued = cudaLaunchHostFunc(
          stream, [](void* flag) { *static_cast<bool*>(flag) = true; }, &called);
      EXPECT_THAT(queued, testing::AnyOf(cudaSuccess, error));
      EXPECT_EQ(cudaStreamSynchronize(stream), error);
      EXPECT_FALSE(called) << "work ran on a broken device";
      EXPECT_THAT(last_report(), HasSubstr(words));
      EXPECT_THAT(last_report(), HasSubstr("launch 1 under seed " + std::to_string(seed)));
      void* more = nullptr;
      EXPECT_EQ(cudaMalloc(&more, 4), error);
      EXPECT_EQ(cudaFree(x), error);
      EXPECT_EQ(cudaGetLastError(), error);
      EXPECT_EQ(cudaGetLastError(), error) << "a broken device forgot its error";
      OK(cudaDeviceReset());
      OK(cudaGetLastError());
      EXPECT_EQ(runtime().live(), Live{});
      EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
      const auto next = new_stream();
      auto* const y = new_ints(64);
      OK(cudaMemsetAsync(y, 0, 256, next));
      OK(cudaStreamSynchronize(next));
    }
}

TEST(runtime_api, an_error_is_told_until_somebody_asks) {
  begin();
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorInvalidResourceHandle);
  new_stream();
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  OK(cudaGetLastError());
}

/// What a program would do; the first error ends it.
cudaError_t make_and_fill() {
  cudaStream_t stream = nullptr;
  void* x = nullptr;
  cudaError_t error = cudaSuccess;
  const auto next = [&](cudaError_t result) { return (error = result) == cudaSuccess; };
  next(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)) && next(cudaMalloc(&x, 256)) &&
      next(cudaMemsetAsync(x, 0, 256, stream)) && next(queued::mix(static_cast<int*>(x), 64, 1, stream)) &&
      next(cudaStreamSynchronize(stream)) && next(cudaFree(x)) && next(cudaStreamDestroy(stream));
  return error;
}

TEST(runtime_api, any_call_can_be_made_to_fail) {
  begin();
  OK(make_and_fill());
  EXPECT_EQ(runtime().calls(), 7u);
  for (std::uint64_t n = 1; n <= 7; ++n) {
    runtime().control({.failure = {.call = n, .error = cudaErrorNotPermitted}});
    EXPECT_EQ(make_and_fill(), cudaErrorNotPermitted);
    EXPECT_EQ(runtime().calls(), n);
  }
  runtime().control({.failure = {.call = 2, .function = "cudaMalloc", .error = cudaErrorMemoryAllocation}});
  OK(make_and_fill());
  EXPECT_EQ(make_and_fill(), cudaErrorMemoryAllocation);
  EXPECT_EQ(runtime().live(), (Live{.streams = 1}));
  OK(make_and_fill());
}

TEST(runtime_api, launches_have_seeds_of_their_own_that_repeat) {
  const auto report_of = [](std::uint64_t seed, int right_launches) {
    begin(seed);
    const auto stream = new_stream();
    auto* const x = new_ints(64);
    OK(cudaMemsetAsync(x, 0, 256, stream));
    for (int i = 0; i < right_launches; ++i) OK(queued::mix(x, 64, 1, stream));
    OK(queued::wait_for_nobody(stream));
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    return last_report();
  };
  const auto seed_in = [](const std::string& report) { return report.substr(report.find("(seed")); };
  EXPECT_EQ(report_of(1, 1), report_of(1, 1));
  EXPECT_NE(seed_in(report_of(1, 1)).substr(0, 12), seed_in(report_of(1, 2)).substr(0, 12));
  EXPECT_NE(seed_in(report_of(1, 1)).substr(0, 12), seed_in(report_of(2, 1)).substr(0, 12));
}

TEST(runtime_api, the_device_is_what_the_controls_say) {
  begin();
  cudaDeviceProp properties{};
  OK(cudaGetDeviceProperties(&properties, 0));
  EXPECT_STREQ(properties.name, "simt");
  EXPECT_EQ(properties.major * 10 + properties.minor, 80);
  EXPECT_EQ(properties.multiProcessorCount, 108);
  int count = 0, version = 0;
  OK(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
  OK(cudaSetDevice(0));
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);

  runtime().control({.devices = 0});
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 4), cudaErrorNoDevice);

  runtime().control({.driver_version = 12090});
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  OK(cudaDriverGetVersion(&version));
  EXPECT_EQ(version, 12090);
  OK(cudaRuntimeGetVersion(&version));
  EXPECT_EQ(version, 13000);
  begin();
}

TEST(runtime_api, errors_have_cudas_names) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorIllegalAddress), "cudaErrorIllegalAddress");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
  EXPECT_STREQ(cudaGetErrorName(static_cast<cudaError_t>(12345)), "unrecognized error code");
}

}  // namespace
}  // namespace scrawl::simt
