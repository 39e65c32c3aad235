#pragma once
/// What every test of simt's CUDA runtime begins with.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/runtime.h"

namespace scrawl::simt {

inline constexpr std::uint64_t seeds = 60;

#define OK(call) EXPECT_STREQ(cudaGetErrorName(call), "cudaSuccess") << #call << ": " << last_report()

inline void begin(std::uint64_t seed = 0) { runtime().control({.schedule = {.seed = seed}}); }

inline cudaStream_t new_stream() {
  cudaStream_t stream = nullptr;
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

inline cudaEvent_t new_event() {
  cudaEvent_t event = nullptr;
  OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

inline int* new_ints(std::size_t count) {
  void* memory = nullptr;
  OK(cudaMalloc(&memory, count * sizeof(int)));
  return static_cast<int*>(memory);
}

/// The order in which host functions were called.
class Log {
 public:
  /// Queues the writing of `name`, which must be a letter.
  void write(char name, cudaStream_t stream) {
    lines_.push_back(std::make_unique<Line>(this, name));
    OK(cudaLaunchHostFunc(stream, called, lines_.back().get()));
  }
  const std::string& text() const { return text_; }

 private:
  struct Line {
    Line(Log* log, char name) : log(log), name(name) {}
    Log* log;
    char name;
  };
  static void called(void* data) {
    const auto& line = *static_cast<const Line*>(data);
    line.log->text_ += line.name;
  }

  std::vector<std::unique_ptr<Line>> lines_;
  std::string text_;
};

}  // namespace scrawl::simt
