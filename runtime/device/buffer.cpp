#include <utility>

#include "runtime/device/device.h"

namespace scrawl {

Buffer::Buffer(Device& device, std::size_t bytes, Contents contents)
    : device_(&device), data_(bytes ? device.allocate(bytes, contents) : nullptr), size_(bytes) {}

Buffer::~Buffer() {
  if (data_) device_->release(data_, size_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(other.device_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace scrawl
