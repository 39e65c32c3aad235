#pragma once
/// Where a backend's kernels run: what the harness needs of a device whose memory is not the host's.

#include <memory>
#include <string_view>

#include "kernels/backend.h"

namespace scrawl::simt {
struct Schedule;
}

namespace scrawl::test {

class Target {
 public:
  virtual ~Target() = default;

  /// Begins anew, all memory gone. Equal numbers give equal runs.
  virtual void begin(std::uint64_t number) = 0;
  /// Memory that nobody has written, 256-byte aligned.
  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void upload(std::byte* to, std::span<const std::byte> from) = 0;
  /// After all work. Throws DeviceError with what a kernel did wrong.
  virtual void download(Bytes to, const std::byte* from) = 0;
  virtual Stream stream() = 0;
};

/// Null for backends that run in the host's memory.
Target* target_of(const Backend&);

/// What kernels run under on simt. The number of a run is added to its seed.
simt::Schedule& simt_schedule();

/// The backends that have a device here, beside the CPU's.
std::vector<const Backend*> device_backends();

}  // namespace scrawl::test
