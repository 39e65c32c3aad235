#pragma once
/// Where a backend's kernels run: what the harness needs of a device whose memory is not the host's.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
  /// Memory that nobody has written, 256-byte aligned. Where reads of such are not seen, it holds the poison.
  virtual std::byte* allocate(std::size_t bytes, std::byte poison) = 0;
  /// Whether nobody has written beside memory from `allocate`. True where download() throws for it.
  virtual bool guards_intact(const std::byte* memory) = 0;
  virtual void upload(std::byte* to, std::span<const std::byte> from) = 0;
  /// After all work. Throws DeviceError with what a kernel did wrong.
  virtual void download(Bytes to, const std::byte* from) = 0;
  virtual Stream stream() = 0;
};

/// Null for backends that run in the host's memory.
Target* target_of(const Backend&);

/// The runtime's device of this name, its memory between guards.
std::unique_ptr<Target> guarded(std::string_view device);

/// What kernels run under on simt. The number of a run is added to its seed.
simt::Schedule& simt_schedule();

/// The backends that have a device here, beside the CPU's: simt, and cuda where a GPU is usable.
std::vector<const Backend*> device_backends();

/// Why cuda is not among them: "no GPU: no NVIDIA driver is installed". Empty if it is.
const std::string& missing_gpu();

/// SCRAWL_GUARDS=0 in the environment lays a GPU's memory out without guards and leaves it unwritten:
/// compute-sanitizer then knows where it ends.
bool has_guards();

}  // namespace scrawl::test
