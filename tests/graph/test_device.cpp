#include "tests/graph/test_device.h"

#include <cstdlib>
#include <cstring>

namespace scrawl::testing {
namespace {

class HostDevice final : public Device {
 public:
  explicit HostDevice(const Backend& backend) : backend_(backend) {}

  std::string name() const override { return std::string(backend_.name); }
  std::string libraries() const override { return ""; }
  const Backend& backend() const override { return backend_; }
  const Selection& selection() const override { return selection_; }
  void require(DType, F32Products) const override {}
  Stream stream() override { return nullptr; }
  void synchronize() override {}
  void upload(void* device, std::span<const std::byte> host) override {
    std::memcpy(device, host.data(), host.size());
  }
  void download(std::span<std::byte> host, const void* device) override {
    std::memcpy(host.data(), device, host.size());
  }

 private:
  std::byte* allocate(std::size_t bytes, Buffer::Contents) override {
    auto* const memory = static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
    std::memset(memory, 0, bytes);
    return memory;
  }
  void release(std::byte* memory, std::size_t) noexcept override { std::free(memory); }

  const Backend& backend_;
  Selection selection_{.kernels = KernelSet::automatic, .threads = 2};
};

}  // namespace

std::unique_ptr<Device> host_device(const Backend& backend) { return std::make_unique<HostDevice>(backend); }

}  // namespace scrawl::testing
