#pragma once
/// The clock of a device: two events of a GPU's stream, or the host's.

#include "bench/measure.h"
#include "runtime/device/device.h"

namespace scrawl::bench {

class DeviceClock final : public Clock {
 public:
  explicit DeviceClock(Device& device) : stopwatch_(device.stopwatch()) {}
  void start() override { stopwatch_->start(); }
  double stop_us() override { return stopwatch_->stop_us(); }

 private:
  std::unique_ptr<Stopwatch> stopwatch_;
};

}  // namespace scrawl::bench
