#include <chrono>

#include "runtime/device/device.h"

namespace scrawl {

namespace {

class HostStopwatch final : public Stopwatch {
 public:
  explicit HostStopwatch(Device& device) : device_(device) {}
  void start() override {
    device_.synchronize();
    start_ = std::chrono::steady_clock::now();
  }
  double stop_us() override {
    device_.synchronize();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  Device& device_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

std::unique_ptr<Stopwatch> Device::stopwatch() { return std::make_unique<HostStopwatch>(*this); }

}  // namespace scrawl
