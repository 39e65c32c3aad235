#pragma once
/// Typed errors. Each says cause, expected and got, and carries the exit code of the command that it ends.

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace scrawl {

/// Exit codes of every `scrawl` command.
enum class ExitCode : int {
  success = 0,
  internal = 1,
  usage = 2,
  data = 3,
  device = 4,
  memory = 5,
  diverged = 6,
  write = 7,
  interrupted = 130,
  terminated = 143,
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// An error class whose message is formatted in place: `throw DataError("{}: expected {}, got {}", ...)`.
template <ExitCode kCode>
class CodedError : public Error {
 public:
  template <class... Args>
  explicit CodedError(fmt::format_string<Args...> format, Args&&... args)
      : Error(kCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

struct InternalError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};  ///< a bug of ours
struct UsageError : CodedError<ExitCode::usage> {
  using CodedError::CodedError;
};  ///< command line, recipe
struct ShapeError : CodedError<ExitCode::usage> {
  using CodedError::CodedError;
};  ///< operand shapes or types
struct DataError : CodedError<ExitCode::data> {
  using CodedError::CodedError;
};  ///< images, labels, weights
struct DeviceError : CodedError<ExitCode::device> {
  using CodedError::CodedError;
};  ///< no usable device
struct MemoryError : CodedError<ExitCode::memory> {
  using CodedError::CodedError;
};  ///< out of memory
struct DivergedError : CodedError<ExitCode::diverged> {
  using CodedError::CodedError;
};  ///< loss not finite, repeatedly
struct WriteError : CodedError<ExitCode::write> {
  using CodedError::CodedError;
};  ///< disk full, not writable

}  // namespace scrawl
