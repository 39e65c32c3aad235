#pragma once
/// The processor as a device.

#include "runtime/device/device.h"

namespace scrawl::cpu {

std::unique_ptr<Device> open_device(const DeviceOptions&);
DeviceSummary summary();

}  // namespace scrawl::cpu
