#pragma once
/// The one device of the process behind runtime_api.h, and what tests may do to it.

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "kernels/simt/driver.h"

namespace scrawl::simt {

class Runtime {
 public:
  Runtime() : driver_(machine_) {}

  /// Begins anew, as after cudaDeviceReset, under these controls. Calls are counted from here.
  void control(const Controls&);

  Live live() const;
  std::uint64_t calls() const;
  std::string last_report() const;
  /// Every site that a lane came to since the last control().
  std::vector<Visits> visits() const;
  /// Every launch that was counted since the last control().
  std::vector<Counted> counted() const;
  /// Of the process.
  Work work() const;

  // For runtime_api.cpp.

  enum class Needs : std::uint8_t { nothing, device };
  /// A call of the API: fails it if it is to fail, lets some of the work happen, and remembers its error.
  cudaError_t call(std::string_view function, const std::function<cudaError_t(Driver&)>&,
                   Needs = Needs::device);
  enum class Then : std::uint8_t { forget, keep };
  cudaError_t last_error(Then);

 private:
  bool is_to_fail(std::string_view function);

  mutable std::mutex mutex_;
  Machine machine_;
  Driver driver_;
  std::uint64_t calls_ = 0, calls_to_failing_ = 0;
};

Runtime& runtime();

}  // namespace scrawl::simt
