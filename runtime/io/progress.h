#pragma once
/// A live progress line on stderr:
///   train  42%  1260/3000  118.3/s  eta 14s  loss 0.4123  cer 8.2%
/// On a terminal it rewrites itself in place; elsewhere (a log file, a pipe) a line appears now and then.

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace scrawl {

/// "8s", "3m05s", "2h07m", "4d06h".
std::string format_duration(std::chrono::seconds);

/// Not for use from several threads at once. A stream that cannot be written is no error. The destructor ends
/// a live line, so that what follows it, an error message for one, starts on a line of its own.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Style { terminal, log };

  struct Options {
    std::FILE* stream = stderr;
    std::optional<Style> style;     ///< by isatty(stream) where empty
    std::int64_t already_done = 0;  ///< items that an earlier run finished: not part of the rate
    std::function<Clock::time_point()> now = Clock::now;
  };

  /// `total` is the number of items that make 100%.
  Progress(std::string label, std::int64_t total) : Progress(std::move(label), total, Options{}) {}
  Progress(std::string label, std::int64_t total, Options options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` items are finished. Prints, with the caller's fields at the end, if the last line is 0.1 s old on
  /// a terminal, 10 s elsewhere; costs a look at the clock otherwise.
  template <class... Args>
  void update(std::int64_t done, fmt::format_string<Args...> fields, Args&&... args) {
    const auto now = now_();
    if (now >= next_) print(done, now, fmt::format(fields, std::forward<Args>(args)...));
  }

  /// Prints the last line, whatever the time, and ends it. `done` is less than the total where work ends
  /// early.
  template <class... Args>
  void finish(std::int64_t done, fmt::format_string<Args...> fields, Args&&... args) {
    print(done, now_(), fmt::format(fields, std::forward<Args>(args)...), Line::last);
    end_line();
  }

  /// Wipes the live line so that something else can be printed; the next update brings it back.
  void clear();

 private:
  enum class Line : std::uint8_t { live, last };
  void print(std::int64_t done, Clock::time_point now, std::string_view fields, Line = Line::live);
  void end_line();
  void put(std::string_view text);

  std::string label_;
  std::int64_t total_, already_done_;
  std::FILE* stream_;
  Style style_;
  std::function<Clock::time_point()> now_;
  Clock::duration interval_;
  Clock::time_point start_, next_;
  bool line_open_ = false;
};

}  // namespace scrawl
