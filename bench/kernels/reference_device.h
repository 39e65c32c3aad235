#pragma once
/// The specification (kernels/reference) as a device, for comparison: plain loops on the host.

#include <cstring>

#include "kernels/reference/backend.h"
#include "runtime/device/device.h"

namespace scrawl::bench {

class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return "reference"; }
  std::string libraries() const override { return ""; }
  const Backend& backend() const override { return reference::backend(); }
  const Selection& selection() const override { return selection_; }
  void require(DType, F32Products) const override {}
  Stream stream() override { return nullptr; }
  void synchronize() override {}
  void upload(void* to, std::span<const std::byte> from) override {
    std::memcpy(to, from.data(), from.size());
  }
  void download(std::span<std::byte> to, const void* from) override {
    std::memcpy(to.data(), from, to.size());
  }

 private:
  static constexpr std::align_val_t alignment{256};

  std::byte* allocate(std::size_t bytes, Buffer::Contents contents) override {
    auto* const memory = static_cast<std::byte*>(::operator new(bytes, alignment));
    if (contents == Buffer::Contents::zeros) std::memset(memory, 0, bytes);
    return memory;
  }
  void release(std::byte* memory, std::size_t) noexcept override { ::operator delete(memory, alignment); }

  Selection selection_;
};

}  // namespace scrawl::bench
