/// Streams of simt's CUDA runtime are late, and in no order but that which streams, events and graphs give.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <thread>

#include "tests/simt/on_device.h"
#include "tests/simt/queue_kernels.h"

namespace scrawl::simt {
namespace {

/// What a scenario logs, over all seeds.
std::set<std::string> logs_of(const std::function<void(Log&)>& scenario) {
  std::set<std::string> logs;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    Log log;
    scenario(log);
    OK(cudaDeviceSynchronize());
    logs.insert(log.text());
    OK(cudaDeviceReset());
  }
  return logs;
}

using Logs = std::set<std::string>;

TEST(streams, nothing_runs_at_its_call) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    Log log;
    for (std::size_t i = 0; i < 10; ++i) {
      log.write('a', stream);
      EXPECT_LE(log.text().size(), i);
    }
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(log.text().size(), 10u);
  }
}

TEST(streams, host_memory_is_read_and_written_late) {
  std::set<int> read, written;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    auto* const x = new_ints(1);
    int from = 1, to = 0;
    OK(cudaMemcpyAsync(x, &from, 4, cudaMemcpyHostToDevice, stream));
    OK(cudaMemcpyAsync(&to, x, 4, cudaMemcpyDeviceToHost, stream));
    EXPECT_EQ(to, 0);  // never at its own call
    std::size_t free = 0, total = 0;
    OK(cudaMemGetInfo(&free, &total));  // a call as good as any
    written.insert(to);
    from = 2;
    OK(cudaStreamSynchronize(stream));
    read.insert(to);
  }
  EXPECT_EQ(read, (std::set{1, 2}));
  EXPECT_EQ(written, (std::set{0, 1}));
}

TEST(streams, a_stream_keeps_its_order) {
  const auto logs = logs_of([](Log& log) {
    const auto stream = new_stream();
    for (const char name : {'a', 'b', 'c', 'd', 'e', 'f'}) log.write(name, stream);
  });
  EXPECT_EQ(logs, Logs{"abcdef"});
}

TEST(streams, what_nothing_orders_is_reordered) {
  const auto logs = logs_of([](Log& log) {
    const auto one = new_stream(), other = new_stream();
    log.write('a', one);
    log.write('b', one);
    log.write('c', other);
  });
  EXPECT_EQ(logs, (Logs{"abc", "acb", "cab"}));
}

TEST(streams, kernels_that_nothing_orders_are_reordered) {
  std::set<int> results;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto one = new_stream(), other = new_stream();
    auto* const x = new_ints(64);
    OK(cudaMemsetAsync(x, 0, 256, one));
    OK(cudaStreamSynchronize(one));
    OK(queued::mix(x, 64, 1, one));
    OK(queued::mix(x, 64, 2, other));
    OK(cudaDeviceSynchronize());
    results.insert(*x);
  }
  EXPECT_EQ(results, (std::set{31 + 2, 62 + 1}));
}

TEST(streams, the_same_seed_gives_the_same_order) {
  const auto text = [](std::uint64_t seed) {
    begin(seed);
    Log log;
    const cudaStream_t streams[] = {new_stream(), new_stream(), new_stream()};
    for (int i = 0; i < 30; ++i) log.write(static_cast<char>('a' + i % 26), streams[i * 7 % 3]);
    OK(cudaDeviceSynchronize());
    return log.text();
  };
  for (std::uint64_t seed = 0; seed < seeds; ++seed) EXPECT_EQ(text(seed), text(seed));
  EXPECT_NE(text(0), text(9));
}

TEST(streams, waiting_for_one_stream_may_leave_the_others) {
  const auto logs = logs_of([](Log& log) {
    const auto one = new_stream(), other = new_stream();
    log.write('a', one);
    log.write('b', other);
    OK(cudaStreamSynchronize(one));
    EXPECT_THAT(log.text(), testing::HasSubstr("a"));
    log.write(log.text().size() == 1 ? '1' : '2', one);
    OK(cudaStreamSynchronize(one));
  });
  const auto begins_with = [&](const std::string& start) {
    return std::ranges::any_of(logs, [&](const auto& log) { return log.starts_with(start); });
  };
  EXPECT_TRUE(begins_with("a1")) << testing::PrintToString(logs);
  EXPECT_TRUE(begins_with("ab2")) << testing::PrintToString(logs);
  EXPECT_TRUE(begins_with("ba2")) << testing::PrintToString(logs);
}

TEST(streams, a_query_says_ready_sooner_or_later_and_only_then_is_it_done) {
  bool waited = false;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    const auto event = new_event();
    Log log;
    OK(cudaStreamQuery(stream));
    OK(cudaEventQuery(event));  // never recorded
    OK(cudaEventSynchronize(event));
    log.write('a', stream);
    log.write('b', stream);
    OK(cudaEventRecord(event, stream));
    log.write('c', stream);
    int asked = 0;
    while (cudaEventQuery(event) == cudaErrorNotReady) ASSERT_LT(++asked, 10000);
    EXPECT_THAT(log.text(), testing::StartsWith("ab"));
    while (cudaStreamQuery(stream) == cudaErrorNotReady) ASSERT_LT(++asked, 20000);
    EXPECT_EQ(log.text(), "abc");
    waited |= asked > 0;
  }
  EXPECT_TRUE(waited);
}

TEST(streams, between_events_lies_the_work_that_ran) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto stream = new_stream();
    cudaEvent_t first = nullptr, second = nullptr, never = nullptr;
    for (auto* const event : {&first, &second, &never}) OK(cudaEventCreateWithFlags(event, cudaEventDefault));
    Log log;
    float milliseconds = -1;
    OK(cudaEventRecord(first, stream));
    log.write('a', stream);
    log.write('b', stream);
    OK(cudaEventRecord(second, stream));
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, first, never), cudaErrorInvalidResourceHandle);
    EXPECT_THAT(cudaEventElapsedTime(&milliseconds, first, second),
                testing::AnyOf(cudaSuccess, cudaErrorNotReady));
    OK(cudaEventSynchronize(second));
    OK(cudaEventElapsedTime(&milliseconds, first, second));
    EXPECT_EQ(milliseconds, 3) << "two writes and the event";
    OK(cudaEventElapsedTime(&milliseconds, second, first));
    EXPECT_EQ(milliseconds, -3);
    const auto untimed = new_event();
    OK(cudaEventRecord(untimed, stream));
    OK(cudaEventSynchronize(untimed));
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, first, untimed), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventElapsedTime(nullptr, first, second), cudaErrorInvalidValue);
  }
}

TEST(streams, an_event_orders_streams) {
  const auto logs = logs_of([](Log& log) {
    const auto one = new_stream(), other = new_stream();
    const auto event = new_event();
    log.write('a', one);
    OK(cudaEventRecord(event, one));
    OK(cudaStreamWaitEvent(other, event));
    OK(cudaEventDestroy(event));  // it is not needed any more
    log.write('b', other);
  });
  EXPECT_EQ(logs, Logs{"ab"});
}

TEST(streams, a_wait_is_for_the_last_record_before_it) {
  const auto logs = logs_of([](Log& log) {
    const auto one = new_stream(), other = new_stream();
    const auto event = new_event();
    OK(cudaStreamWaitEvent(other, event));  // for nothing
    log.write('a', one);
    OK(cudaEventRecord(event, one));
    OK(cudaStreamWaitEvent(other, event));
    log.write('b', other);
    log.write('c', one);
    OK(cudaEventRecord(event, one));
  });
  EXPECT_EQ(logs, (Logs{"abc", "acb"}));
}

TEST(streams, an_event_is_waited_for_with_all_before_it) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    begin(seed);
    const auto one = new_stream(), other = new_stream();
    const auto event = new_event();
    Log log;
    log.write('a', one);
    OK(cudaEventRecord(event, one));
    OK(cudaStreamWaitEvent(other, event));
    log.write('b', other);
    OK(cudaEventRecord(event, other));
    log.write('c', other);
    OK(cudaEventSynchronize(event));
    EXPECT_THAT(log.text(), testing::StartsWith("ab"));
  }
}

TEST(streams, work_of_a_destroyed_stream_is_done) {
  const auto logs = logs_of([](Log& log) {
    const auto stream = new_stream();
    log.write('a', stream);
    log.write('b', stream);
    OK(cudaStreamDestroy(stream));
  });
  EXPECT_EQ(logs, Logs{"ab"});
}

TEST(streams, threads_may_each_have_one) {
  begin();
  const auto use = [](int value) {
    const auto stream = new_stream();
    auto* const x = new_ints(64);
    int expected = 0, result = 0;
    OK(cudaMemsetAsync(x, 0, 256, stream));
    for (int i = 0; i < 100; ++i) {
      OK(queued::mix(x, 64, value, stream));
      expected = static_cast<int>(31u * static_cast<unsigned>(expected) + static_cast<unsigned>(value));
    }
    OK(cudaMemcpyAsync(&result, x + 63, 4, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT_EQ(result, expected);
  };
  const std::jthread one(use, 1), other(use, 2), third(use, 3);
}

TEST(streams, host_functions_may_call_nothing) {
  begin();
  const auto stream = new_stream();
  cudaError_t results[2] = {};
  OK(cudaLaunchHostFunc(
      stream,
      [](void* data) {
        static_cast<cudaError_t*>(data)[0] = cudaDeviceSynchronize();
        static_cast<cudaError_t*>(data)[1] = cudaGetLastError();
      },
      results));
  OK(cudaStreamSynchronize(stream));
  EXPECT_THAT(results, testing::Each(cudaErrorNotPermitted));
}

}  // namespace
}  // namespace scrawl::simt
