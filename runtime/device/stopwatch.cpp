#include <chrono>
#include <utility>

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

class HostMarks final : public Marks {
 public:
  explicit HostMarks(Device& device) : device_(device) {}
  void mark() override {
    device_.synchronize();
    times_.push_back(steady_us());
  }
  std::vector<double> read_us() override { return std::exchange(times_, {}); }

 private:
  Device& device_;
  std::vector<double> times_;
};

}  // namespace

double steady_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::unique_ptr<Marks> Device::marks() { return std::make_unique<HostMarks>(*this); }

std::unique_ptr<Stopwatch> Device::stopwatch() { return std::make_unique<HostStopwatch>(*this); }

}  // namespace scrawl
