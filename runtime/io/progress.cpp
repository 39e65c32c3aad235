#include "runtime/io/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace scrawl {
namespace {

using namespace std::chrono_literals;

constexpr auto terminal_interval = 100ms;
constexpr auto log_interval = 10s;

std::size_t columns_of(std::FILE* stream) {
  winsize window{};
  return ::ioctl(::fileno(stream), TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

/// The first `columns` code points: a line that wraps cannot be rewritten in place.
std::string_view clip(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool starts_code_point = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts_code_point && columns-- == 0) break;
  }
  return text.substr(0, end);
}

}  // namespace

std::string format_duration(std::chrono::seconds duration) {
  const auto s = std::max<std::int64_t>(duration.count(), 0);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

Progress::Progress(std::string label, std::int64_t total, Options options)
    : label_(std::move(label)),
      total_(std::max<std::int64_t>(total, 1)),
      already_done_(options.already_done),
      stream_(options.stream),
      style_(options.style.value_or(::isatty(::fileno(stream_)) ? Style::terminal : Style::log)),
      now_(std::move(options.now)),
      interval_(style_ == Style::terminal ? Clock::duration(terminal_interval)
                                          : Clock::duration(log_interval)),
      start_(now_()),
      next_(start_ + interval_) {}

Progress::~Progress() { end_line(); }

void Progress::clear() {
  if (line_open_) put("\r\x1b[K");
  line_open_ = false;
}

void Progress::print(std::int64_t done, Clock::time_point now, std::string_view fields, Line kind) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done - already_done_) / seconds : 0;
  auto line = fmt::format("{}  {}%  {}/{}", label_, 100 * done / total_, done, total_);
  if (rate > 0) {
    line += fmt::format("  {:.1f}/s", rate);
    const auto left = std::chrono::duration<double>(static_cast<double>(total_ - done) / rate);
    line += kind == Line::live && done < total_
                ? "  eta " + format_duration(std::chrono::round<std::chrono::seconds>(left))
                : "  in " + format_duration(std::chrono::round<std::chrono::seconds>(now - start_));
  }
  if (!fields.empty()) (line += "  ") += fields;

  if (style_ == Style::terminal) {
    put(fmt::format("\r{}\x1b[K", clip(line, columns_of(stream_) - 1)));
    line_open_ = true;
  } else {
    put(line + "\n");
  }
  next_ = now + interval_;
}

void Progress::end_line() {
  if (line_open_) put("\n");
  line_open_ = false;
}

void Progress::put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream_);
  std::fflush(stream_);
}

}  // namespace scrawl
