#include "tests/kernels/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "runtime/device/device.h"

#ifdef SCRAWL_HAS_SIMT
#include "kernels/cuda/backend.h"
#include "kernels/error.h"
#include "kernels/simt/runtime.h"
#endif

namespace scrawl::test {

#ifdef SCRAWL_HAS_SIMT
simt::Schedule& simt_schedule() {
  static simt::Schedule schedule;
  return schedule;
}
#endif

namespace {

#ifdef SCRAWL_HAS_SIMT
using namespace simt;

void require(cudaError_t error) {
  if (error != cudaSuccess) throw DeviceError("{}: {}", cudaGetErrorName(error), runtime().last_report());
}

class SimtTarget final : public Target {
 public:
  SimtTarget() { runtime(); }  // so that it outlives this
  ~SimtTarget() override {
    const auto [launches, lanes, seconds] = runtime().work();
    if (launches > 0)
      fmt::print("simt: {} launches, {} lanes in {:.1f} s: {:.0f} lanes a second\n", launches, lanes, seconds,
                 static_cast<double>(lanes) / seconds);
  }
  void begin(std::uint64_t number) override {
    auto schedule = simt_schedule();
    schedule.seed += number;
    runtime().control({.schedule = schedule});
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  /// Undefined, whatever lies there.
  std::byte* allocate(std::size_t bytes, std::byte poison) override {
    void* memory = nullptr;
    require(cudaMalloc(&memory, bytes));
    if (memory) std::memset(memory, std::to_integer<int>(poison), bytes);
    return static_cast<std::byte*>(memory);
  }
  bool guards_intact(const std::byte*) override { return true; }
  void upload(std::byte* to, std::span<const std::byte> from) override {
    require(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_));
    require(cudaStreamSynchronize(stream_));
  }
  void download(Bytes to, const std::byte* from) override {
    require(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_));
    require(cudaStreamSynchronize(stream_));
  }
  Stream stream() override { return reinterpret_cast<Stream>(stream_); }

 private:
  cudaStream_t stream_ = nullptr;
};
#endif

/// The runtime's device: it does not look where kernels write, so each piece of memory lies between guards.
class DeviceTarget final : public Target {
 public:
  explicit DeviceTarget(std::string_view name) : device_(open_device({.device = std::string(name)})) {}

  const Backend& backend() const { return device_->backend(); }

  void begin(std::uint64_t) override { pieces_.clear(); }
  std::byte* allocate(std::size_t bytes, std::byte poison) override {
    const std::size_t guard = has_guards() ? guard_bytes : 0;
    Buffer buffer(*device_, std::max<std::size_t>(1, bytes + 2 * guard),
                  has_guards() ? Buffer::Contents::zeros : Buffer::Contents::undefined);
    if (guard > 0) {
      std::vector<std::byte> content(buffer.size(), pattern);
      std::fill_n(content.begin() + guard_bytes, bytes, poison);
      device_->upload(buffer.data(), content);
    }
    auto* const memory = buffer.data() + guard;
    pieces_.insert_or_assign(memory, Piece{.buffer = std::move(buffer), .bytes = bytes});
    return memory;
  }
  bool guards_intact(const std::byte* memory) override {
    if (!has_guards()) return true;
    const auto& piece = pieces_.at(memory);
    std::vector<std::byte> guards(2 * guard_bytes);
    device_->download(Bytes(guards).first(guard_bytes), piece.buffer.data());
    device_->download(Bytes(guards).last(guard_bytes), memory + piece.bytes);
    return std::ranges::all_of(guards, [](std::byte b) { return b == pattern; });
  }
  void upload(std::byte* to, std::span<const std::byte> from) override { device_->upload(to, from); }
  void download(Bytes to, const std::byte* from) override { device_->download(to, from); }
  Stream stream() override { return device_->stream(); }

 private:
  static constexpr std::size_t guard_bytes = 4096;  // of the alignment that is promised
  static constexpr std::byte pattern{0xA5};

  struct Piece {
    Buffer buffer;
    std::size_t bytes;
  };

  std::unique_ptr<Device> device_;
  std::map<const std::byte*, Piece> pieces_;
};

/// Null where no GPU is usable. Never destroyed: the CUDA runtime may be gone before.
DeviceTarget* gpu() {
  static auto* const target = missing_gpu().empty() ? new DeviceTarget("cuda") : nullptr;
  return target;
}

}  // namespace

Target* target_of(const Backend& backend) {
#ifdef SCRAWL_HAS_SIMT
  static SimtTarget simt;
  if (&backend == &simt::backend()) return &simt;
#endif
  return gpu() && &backend == &gpu()->backend() ? gpu() : nullptr;
}

std::unique_ptr<Target> guarded(std::string_view device) { return std::make_unique<DeviceTarget>(device); }

std::vector<const Backend*> device_backends() {
  std::vector<const Backend*> all;
#ifdef SCRAWL_HAS_SIMT
  all.push_back(&simt::backend());
#endif
  if (gpu()) all.push_back(&gpu()->backend());
  return all;
}

const std::string& missing_gpu() {
  static const std::string reason = [] {
    const auto devices = list_devices();
    const auto cuda = std::ranges::find(devices, "cuda", &DeviceSummary::name);
    return cuda->unusable.empty() ? "" : fmt::format("no GPU: {}", cuda->unusable);
  }();
  return reason;
}

bool has_guards() {
  static const bool guards = [] {
    const char* const value = std::getenv("SCRAWL_GUARDS");
    return !value || std::string_view(value) != "0";
  }();
  return guards;
}

}  // namespace scrawl::test
