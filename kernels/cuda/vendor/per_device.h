#pragma once
/// What is opened once: a library for the process, a handle for each GPU while somebody has it.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kernels/error.h"

namespace scrawl::cuda {

/// A T, or why there is none.
template <class T>
class Opened {
 public:
  Opened() {
    try {
      value_.emplace();
    } catch (const DeviceError& error) {
      why_ = error.what();
    }
  }

  /// Throws DeviceError where there is none.
  const T& get() const {
    if (!value_) throw DeviceError("{}", why_);
    return *value_;
  }

 private:
  std::optional<T> value_;
  std::string why_;
};

/// The number of the current GPU; -1 where there is none: the library then says so itself.
int current_device();

template <class T>
class PerDevice {
 public:
  /// What open() made for the current GPU, while anybody has it.
  template <class Open>
  std::shared_ptr<T> get(Open&& open) {
    const std::lock_guard lock(mutex_);
    auto& place = made_[current_device()];
    auto made = place.lock();
    if (!made) place = made = open();
    return made;
  }

 private:
  std::mutex mutex_;
  std::map<int, std::weak_ptr<T>> made_;
};

}  // namespace scrawl::cuda
