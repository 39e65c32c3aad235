/// Captures and graphs of simt's CUDA runtime.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/simt/on_device.h"
#include "tests/simt/queue_kernels.h"

namespace scrawl::simt {
namespace {

using testing::HasSubstr;

void begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
  OK(cudaStreamBeginCapture(stream, mode));
}

cudaGraphExec_t end_capture(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  OK(cudaStreamEndCapture(stream, &graph));
  OK(cudaGraphInstantiate(&executable, graph));
  OK(cudaGraphDestroy(graph));  // what was made of it lives on
  return executable;
}

cudaStreamCaptureStatus status_of(cudaStream_t stream) {
  auto status = cudaStreamCaptureStatusNone;
  OK(cudaStreamIsCapturing(stream, &status));
  return status;
}

/// A small step: two branches that meet, with a copy, a set and kernels.
void step(int* x, int* y, cudaStream_t one, cudaStream_t other, cudaEvent_t fork, cudaEvent_t join) {
  OK(queued::mix(x, 64, 1, one));
  OK(cudaEventRecord(fork, one));
  OK(cudaStreamWaitEvent(other, fork));
  OK(queued::mix(x, 32, 2, one));
  OK(cudaMemsetAsync(y, 3, 256, other));
  OK(queued::mix(y, 64, 4, other));
  OK(cudaEventRecord(join, other));
  OK(cudaStreamWaitEvent(one, join));
  OK(cudaMemcpyAsync(y + 60, x + 30, 16, cudaMemcpyDeviceToDevice, one));
  OK(queued::mix(x, 64, 5, one));
}

std::vector<int> run_steps(int steps, std::uint64_t seed, bool with_graph) {
  begin(seed);
  const auto one = new_stream(), other = new_stream();
  const auto fork = new_event(), join = new_event();
  auto* const x = new_ints(64);
  auto* const y = new_ints(64);
  OK(cudaMemsetAsync(x, 1, 256, one));
  if (with_graph) {
    begin_capture(one);
    step(x, y, one, other, fork, join);
    EXPECT_EQ(status_of(other), cudaStreamCaptureStatusActive);
    const auto graph = end_capture(one);
    EXPECT_EQ(status_of(other), cudaStreamCaptureStatusNone);
    for (int i = 0; i < steps; ++i) OK(cudaGraphLaunch(graph, one));
    OK(cudaGraphExecDestroy(graph));  // what is queued of it still runs
  } else {
    for (int i = 0; i < steps; ++i) step(x, y, one, other, fork, join);
  }
  std::vector<int> results(128);
  OK(cudaMemcpyAsync(results.data(), x, 256, cudaMemcpyDeviceToHost, one));
  OK(cudaMemcpyAsync(results.data() + 64, y, 256, cudaMemcpyDeviceToHost, one));
  OK(cudaStreamSynchronize(one));
  return results;
}

TEST(graphs, replays_give_the_bits_of_the_steps_captured) {
  const auto expected = run_steps(3, 0, false);
  for (std::uint64_t seed = 0; seed < seeds / 2; ++seed) {
    EXPECT_EQ(run_steps(3, seed, false), expected);
    EXPECT_EQ(run_steps(3, seed, true), expected);
  }
}

TEST(graphs, what_is_captured_does_not_run) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream(), outside = new_stream();
    Log log;
    log.write('a', stream);  // before the capture: it runs
    begin_capture(stream, cudaStreamCaptureModeRelaxed);
    log.write('b', stream);
    OK(cudaStreamSynchronize(outside));
    const auto graph = end_capture(stream);
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(log.text(), "a");
    OK(cudaGraphLaunch(graph, stream));
    EXPECT_EQ(log.text(), "a");
    OK(cudaGraphLaunch(graph, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(log.text(), "abb");
  }
}

TEST(graphs, launches_together_are_captured_and_replayed) {
  constexpr unsigned blocks = 6;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    auto* const x = new_ints(blocks);
    auto* const flags = reinterpret_cast<std::uint32_t*>(new_ints(blocks));
    begin_capture(stream);
    OK(cudaMemsetAsync(flags, 0, blocks * sizeof(int), stream));
    OK(queued::relay(x, flags, blocks, stream));
    const auto executable = end_capture(stream);
    for (const int first : {10, 20}) {
      OK(cudaMemcpyAsync(x, &first, sizeof first, cudaMemcpyHostToDevice, stream));
      OK(cudaGraphLaunch(executable, stream));
      int last = 0;
      OK(cudaMemcpyAsync(&last, x + blocks - 1, sizeof last, cudaMemcpyDeviceToHost, stream));
      OK(cudaStreamSynchronize(stream));
      EXPECT_EQ(last, first + 5) << "seed " << seed;
    }
  }
}

TEST(graphs, branches_are_reordered_and_replays_are_not) {
  std::set<std::string> logs;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto one = new_stream(), other = new_stream(), third = new_stream();
    const auto event = new_event();
    Log log;
    begin_capture(one);
    OK(cudaEventRecord(event, one));
    OK(cudaStreamWaitEvent(other, event));
    log.write('a', one);
    log.write('b', other);
    OK(cudaEventRecord(event, other));
    OK(cudaStreamWaitEvent(one, event));
    log.write('c', one);
    const auto graph = end_capture(one);
    OK(cudaGraphLaunch(graph, other));
    OK(cudaGraphLaunch(graph, third));  // the same graph never runs twice at a time
    OK(cudaDeviceSynchronize());
    logs.insert(log.text());
  }
  EXPECT_EQ(logs, (std::set<std::string>{"abcabc", "abcbac", "bacabc", "bacbac"}));
}

TEST(graphs, a_launch_is_ordered_in_its_stream) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    Log log;
    begin_capture(stream);
    log.write('b', stream);
    const auto graph = end_capture(stream);
    begin_capture(stream);
    const auto nothing = end_capture(stream);
    log.write('a', stream);
    OK(cudaGraphLaunch(graph, stream));
    OK(cudaGraphLaunch(nothing, stream));
    log.write('c', stream);
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(log.text(), "abc");
  }
}

TEST(graphs, calls_that_a_capture_forbids_end_it) {
  struct Call {
    const char* name;
    std::function<cudaError_t(cudaStream_t captured, cudaStream_t other, cudaEvent_t)> make;
    cudaError_t error = cudaErrorStreamCaptureUnsupported;
    bool allowed_in_relaxed_mode = false;
  };
  void* memory = nullptr;
  const Call calls[] = {
      {"synchronise it", [](auto captured, auto, auto) { return cudaStreamSynchronize(captured); }},
      {"query it", [](auto captured, auto, auto) { return cudaStreamQuery(captured); }},
      {"destroy it", [](auto captured, auto, auto) { return cudaStreamDestroy(captured); }},
      {"synchronise all", [](auto, auto, auto) { return cudaDeviceSynchronize(); }},
      {"synchronise another", [](auto, auto other, auto) { return cudaStreamSynchronize(other); },
       cudaErrorStreamCaptureUnsupported, true},
      {"query an event", [](auto, auto, auto event) { return cudaEventQuery(event); },
       cudaErrorStreamCaptureUnsupported, true},
      {"allocate", [&](auto, auto, auto) { return cudaMalloc(&memory, 4); },
       cudaErrorStreamCaptureUnsupported, true},
      {"release", [](auto, auto, auto) { return cudaFree(nullptr); }, cudaErrorStreamCaptureUnsupported,
       true},
      {"pin", [&](auto, auto, auto) { return cudaMallocHost(&memory, 4); }, cudaErrorStreamCaptureUnsupported,
       true},
      {"wait for an event from outside",
       [](auto captured, auto other, auto event) {
         OK(cudaEventRecord(event, other));
         return cudaStreamWaitEvent(captured, event);
       },
       cudaErrorStreamCaptureIsolation},
      {"query an event of it",
       [](auto captured, auto, auto event) {
         OK(cudaEventRecord(event, captured));
         return cudaEventQuery(event);
       },
       cudaErrorCapturedEvent},
      {"wait for an event of it",
       [](auto captured, auto, auto event) {
         OK(cudaEventRecord(event, captured));
         return cudaEventSynchronize(event);
       },
       cudaErrorCapturedEvent},
      {"end it elsewhere",
       [](auto captured, auto other, auto event) {
         OK(cudaEventRecord(event, captured));
         OK(cudaStreamWaitEvent(other, event));
         cudaGraph_t graph = nullptr;
         return cudaStreamEndCapture(other, &graph);
       },
       cudaErrorStreamCaptureUnmatched},
  };
  for (const auto& call : calls)
    for (const auto mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeRelaxed}) {
      begin();
      const auto captured = new_stream(), other = new_stream();
      const auto event = new_event();
      auto* const x = new_ints(64);
      begin_capture(captured, mode);
      OK(cudaMemsetAsync(x, 0, 256, captured));
      const bool allowed = mode == cudaStreamCaptureModeRelaxed && call.allowed_in_relaxed_mode;
      EXPECT_EQ(call.make(captured, other, event), allowed ? cudaSuccess : call.error) << call.name;
      EXPECT_EQ(status_of(captured),
                allowed ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated)
          << call.name;
      EXPECT_EQ(cudaMemsetAsync(x, 0, 4, captured),
                allowed ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
      cudaGraph_t graph = nullptr;
      EXPECT_EQ(cudaStreamEndCapture(captured, &graph),
                allowed ? cudaSuccess : cudaErrorStreamCaptureInvalidated)
          << call.name;
      EXPECT_EQ(graph != nullptr, allowed);
      OK(cudaMemsetAsync(x, 0, 4, captured));  // the stream is a stream again
      OK(cudaStreamSynchronize(captured));
      OK(cudaStreamSynchronize(other));
    }
}

TEST(graphs, a_branch_that_is_not_joined_is_an_error) {
  begin();
  const auto one = new_stream(), other = new_stream();
  const auto event = new_event();
  Log log;
  cudaGraph_t graph = nullptr;
  begin_capture(one);
  log.write('a', one);
  OK(cudaEventRecord(event, one));
  OK(cudaStreamWaitEvent(other, event));
  log.write('b', other);
  log.write('c', other);
  EXPECT_EQ(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_THAT(last_report(), HasSubstr("1 of 3"));
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(status_of(one), cudaStreamCaptureStatusNone);
  EXPECT_EQ(status_of(other), cudaStreamCaptureStatusNone);
  OK(cudaDeviceSynchronize());
  EXPECT_EQ(log.text(), "");
}

TEST(graphs, captures_stay_apart) {
  begin();
  const auto one = new_stream(), other = new_stream(), third = new_stream();
  const auto event = new_event();
  cudaGraph_t graph = nullptr;
  begin_capture(one);
  EXPECT_EQ(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
  EXPECT_EQ(cudaStreamBeginCapture(other, cudaStreamCaptureModeThreadLocal), cudaErrorNotSupported);
  begin_capture(other);
  OK(cudaEventRecord(event, one));
  EXPECT_EQ(cudaStreamWaitEvent(other, event), cudaErrorStreamCaptureMerge);
  EXPECT_EQ(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamWaitEvent(third, event), cudaErrorCapturedEvent) << "its capture has ended";
  EXPECT_EQ(cudaStreamEndCapture(one, &graph), cudaErrorIllegalState);
  OK(cudaEventRecord(event, one));  // and it is an event again
  OK(cudaEventSynchronize(event));
}

TEST(graphs, a_graph_that_uses_released_memory_breaks_the_device) {
  begin();
  const auto stream = new_stream();
  auto* const x = new_ints(64);
  begin_capture(stream);
  OK(cudaMemsetAsync(x, 0, 256, stream));
  const auto graph = end_capture(stream);
  OK(cudaGraphLaunch(graph, stream));
  OK(cudaFree(x));
  OK(cudaGraphLaunch(graph, stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  EXPECT_THAT(last_report(), HasSubstr("released before it ran"));
}

}  // namespace
}  // namespace scrawl::simt
