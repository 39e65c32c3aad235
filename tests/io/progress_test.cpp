#include "runtime/io/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace scrawl {
namespace {

using namespace std::chrono_literals;

/// A Progress on a clock of the test's own that writes to memory.
class Recorder {
 public:
  Recorder() : stream_(::open_memstream(&text_, &size_)) {}
  ~Recorder() {
    std::fclose(stream_);
    std::free(text_);
  }
  Progress::Options options(Progress::Style style, std::int64_t already_done = 0) {
    return {.stream = stream_, .style = style, .already_done = already_done, .now = [this] { return now_; }};
  }
  void pass(std::chrono::milliseconds time) { now_ += time; }
  std::string text() const {
    std::fflush(stream_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
  Progress::Clock::time_point now_{};
};

TEST(progress, a_log_gets_a_line_every_ten_seconds) {
  Recorder out;
  Progress progress("train", 200, out.options(Progress::Style::log));
  for (int step = 1; step <= 100; ++step) {
    out.pass(250ms);
    progress.update(step, "loss {:.2f}", 1.0 / step);
  }
  EXPECT_EQ(out.text(),
            "train  20%  40/200  4.0/s  eta 40s  loss 0.03\n"
            "train  40%  80/200  4.0/s  eta 30s  loss 0.01\n");
}

TEST(progress, a_terminal_line_rewrites_itself_ten_times_a_second_and_ends_once) {
  Recorder out;
  {
    Progress progress("train", 10, out.options(Progress::Style::terminal));
    for (int step = 1; step <= 10; ++step) {
      out.pass(50ms);
      progress.update(step, "");
    }
    out.pass(500ms);
    progress.finish(10, "loss {}", 1);
  }
  const auto text = out.text();
  EXPECT_EQ(std::ranges::count(text, '\r'), 6);
  EXPECT_TRUE(text.starts_with("\rtrain  20%  2/10  20.0/s  eta 0s\x1b[K\r")) << text;
  EXPECT_TRUE(text.ends_with("\rtrain  100%  10/10  10.0/s  in 1s  loss 1\x1b[K\n")) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
}

TEST(progress, work_that_ends_early_says_how_far_it_came) {
  Recorder out;
  Progress progress("train", 200, out.options(Progress::Style::log));
  out.pass(2s);
  progress.finish(50, "loss {}", 1);
  EXPECT_EQ(out.text(), "train  25%  50/200  25.0/s  in 2s  loss 1\n");
}

TEST(progress, the_destructor_ends_a_live_line) {
  Recorder out;
  {
    Progress progress("eval", 4, out.options(Progress::Style::terminal));
    out.pass(1s);
    progress.update(1, "");
  }
  EXPECT_EQ(out.text(), "\reval  25%  1/4  1.0/s  eta 3s\x1b[K\n");
}

TEST(progress, clear_wipes_the_line_until_the_next_update) {
  Recorder out;
  {
    Progress progress("eval", 4, out.options(Progress::Style::terminal));
    progress.clear();
    EXPECT_EQ(out.text(), "");
    out.pass(1s);
    progress.update(1, "");
    progress.clear();
  }
  EXPECT_EQ(out.text(), "\reval  25%  1/4  1.0/s  eta 3s\x1b[K\r\x1b[K");
}

TEST(progress, a_line_is_cut_at_the_edge_of_the_terminal_between_code_points) {
  Recorder out;
  {
    Progress progress("eval", 4, out.options(Progress::Style::terminal));
    out.pass(1s);
    std::string wide;
    for (int i = 0; i < 100; ++i) wide += "ß";
    progress.update(1, "{}", wide);
  }
  std::string expected = "\reval  25%  1/4  1.0/s  eta 3s  ";
  for (auto columns = expected.size() - 1; columns < 79; ++columns) expected += "ß";
  EXPECT_EQ(out.text(), expected + "\x1b[K\n");
}

TEST(progress, the_rate_counts_only_the_items_of_this_run) {
  Recorder out;
  Progress progress("train", 100, out.options(Progress::Style::log, 50));
  out.pass(10s);
  progress.update(60, "");
  EXPECT_EQ(out.text(), "train  60%  60/100  1.0/s  eta 40s\n");
}

TEST(progress, durations_show_two_units) {
  EXPECT_EQ(format_duration(-1s), "0s");
  EXPECT_EQ(format_duration(59s), "59s");
  EXPECT_EQ(format_duration(185s), "3m05s");
  EXPECT_EQ(format_duration(2h + 7min + 59s), "2h07m");
  EXPECT_EQ(format_duration(102h), "4d06h");
}

}  // namespace
}  // namespace scrawl
