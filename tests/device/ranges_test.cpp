/// What a profiler is told, by one that is a library of ours.

#include "runtime/device/ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace scrawl {
namespace {

/// Lines of the record, by thread; the file begins with the case.
class ranges : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    record_ = std::filesystem::path(testing::TempDir()) / ("ranges_" + std::to_string(getpid()));
    setenv("NVTX_INJECTION64_PATH", SCRAWL_NVTX_RECORDER, 1);
    setenv("NVTX_RECORD", record_.c_str(), 1);
  }
  static void TearDownTestSuite() { std::filesystem::remove(record_); }
  void SetUp() override {
    if (ranges_version().empty()) GTEST_SKIP() << "built without NVTX's header";
    ASSERT_TRUE(is_profiled());
    std::filesystem::remove(record_);
  }

  static std::vector<std::string> lines_of(const std::string& thread) {
    std::ifstream file(record_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(thread + " ")) lines.push_back(line.substr(thread.size() + 1));
    return lines;
  }
  static std::string this_thread() { return std::to_string(gettid()); }

  static inline std::filesystem::path record_;
};

TEST_F(ranges, nest_in_the_domain_of_scrawl) {
  {
    const Range step("step");
    { const Range data("data"); }
    const Range node(std::string("conv 1, \"first\""));
  }
  EXPECT_THAT(lines_of(this_thread()),
              testing::ElementsAre("push scrawl step", "push scrawl data", "pop scrawl",
                                   "push scrawl conv 1, \"first\"", "pop scrawl", "pop scrawl"));
}

TEST_F(ranges, are_each_threads_own) {
  std::string other;
  const Range mine("mine");
  std::jthread([&] {
    other = this_thread();
    const Range theirs("theirs");
  }).join();
  EXPECT_THAT(lines_of(other), testing::ElementsAre("push scrawl theirs", "pop scrawl"));
  EXPECT_THAT(lines_of(this_thread()), testing::ElementsAre("push scrawl mine"));
}

#ifdef SCRAWL_HAS_STREAM_NAMES
TEST_F(ranges, streams_have_names) {
  name_stream(reinterpret_cast<Stream>(std::uintptr_t{4096}), "scrawl");
  EXPECT_THAT(lines_of(this_thread()), testing::ElementsAre("stream 4096 scrawl"));
}
#endif

}  // namespace
}  // namespace scrawl
