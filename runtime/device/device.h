#pragma once
/// A device: memory, a stream of work, and the backend whose kernels run there.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace scrawl {

class Choices;
class Device;

/// Memory of a device, freed with its owner. 256-byte aligned at least.
class Buffer {
 public:
  Buffer() = default;
  /// When made. Whoever reads what is undefined before anybody wrote is wrong, and simt says so.
  enum class Contents : std::uint8_t { zeros, undefined };
  Buffer(Device&, std::size_t bytes, Contents = Contents::zeros);
  ~Buffer();
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Microseconds of std::chrono::steady_clock.
double steady_us();

/// Points of a device's stream, each with the time at which the work before it was done.
class Marks {
 public:
  virtual ~Marks() = default;
  virtual void mark() = 0;  ///< behind the work so far; the host waits only where it does so at each call
  /// Waits for the work so far and forgets the marks: one time each, in microseconds of steady_us(). A GPU's
  /// clock is laid onto the host's by an event that the host sees arrive: right to a few microseconds.
  virtual std::vector<double> read_us() = 0;
};

/// Work that a device was given, as far as it is counted there.
struct WorkCounts {
  std::optional<std::uint64_t> launches;  ///< of our own kernels; what libraries launch, nobody counts
  std::optional<std::uint64_t> lanes;     ///< that ran in them: simt
};

/// The time between two points of a device's stream.
class Stopwatch {
 public:
  virtual ~Stopwatch() = default;
  virtual void start() = 0;      ///< behind the work so far
  virtual double stop_us() = 0;  ///< waits for the work so far; microseconds since start()
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;       ///< "cpu"
  virtual std::string libraries() const = 0;  ///< under its kernels, with versions
  virtual const Backend& backend() const = 0;
  virtual const Selection& selection() const = 0;
  /// Throws DeviceError if networks cannot be stored in this type here, or their f32 products not made so.
  virtual void require(DType storage, F32Products) const = 0;
  virtual Stream stream() = 0;
  virtual void synchronize() = 0;
  /// Of the host, unless the device has a clock of its own. Throws DeviceError where time means nothing.
  virtual std::unique_ptr<Stopwatch> stopwatch();
  virtual std::unique_ptr<Marks> marks();  ///< as stopwatch()
  /// By this process so far. Waits for the work so far.
  virtual WorkCounts work_counts() { return {}; }
  /// Between the two, profilers record that were told to wait (`nsys profile -c cudaProfilerApi`).
  virtual void start_profiler() {}
  virtual void stop_profiler() {}
  /// Copies to and from host memory, after all work of the stream.
  virtual void upload(void* device, std::span<const std::byte> host) = 0;
  virtual void download(std::span<std::byte> host, const void* device) = 0;

  /// The choice file that graphs planned for it follow (choices.h), or null: each list's first variant.
  const Choices* choices() const { return choices_.get(); }
  /// Throws UsageError for choices that were measured on another device or processor.
  void follow(std::shared_ptr<const Choices>);

 private:
  friend class Buffer;
  virtual std::byte* allocate(std::size_t bytes, Buffer::Contents) = 0;  ///< MemoryError when there is none
  virtual void release(std::byte*, std::size_t bytes) noexcept = 0;

  std::shared_ptr<const Choices> choices_;
};

struct DeviceOptions {
  /// auto, cpu, cuda or simt. One that is unknown, absent or unusable is a DeviceError that says why. `auto`
  /// is cuda where that is usable, else cpu; never simt.
  std::string device = "auto";
  KernelSet kernels = KernelSet::automatic;
  int threads = 0;           ///< CPU threads; 0 takes the processors that this process may use
  std::string choices = {};  ///< the choice file to follow; empty: none
};

std::unique_ptr<Device> open_device(const DeviceOptions&);

/// The same for who plans and runs nothing: where cuda is asked for and unusable, one that is described takes
/// its place, and a warning on stderr says so.
std::unique_ptr<Device> open_for_planning(const DeviceOptions&);

/// What this machine offers, for `scrawl devices`.
struct DeviceSummary {
  struct Gpu {
    std::string name;
    std::string compute_capability;  ///< "9.0"
    std::size_t memory_bytes = 0;
    int multiprocessors = 0;
  };

  std::string name;            ///< "cpu"
  std::string hardware;        ///< processor or GPU
  std::string libraries;       ///< what runs on it, with versions
  std::string unusable;        ///< why it cannot be used, or empty
  std::vector<Gpu> gpus = {};  ///< all that are visible; work runs on the first
};
std::vector<DeviceSummary> list_devices();

/// A library beside those that every build has.
struct LibrarySummary {
  std::string name;  ///< "cuDNN"
  std::string used_for;
  std::string version;   ///< "9.19.0"
  std::string path;      ///< empty: it is compiled in
  std::string unusable;  ///< why it is not used, or empty
};
std::vector<LibrarySummary> list_libraries();

}  // namespace scrawl
