#pragma once
/// Devices for tests: any backend on host memory.

#include <memory>

#include "runtime/device/device.h"

namespace scrawl::testing {

/// A device on zeroed host memory whose kernels are those of `backend`, with two threads.
std::unique_ptr<Device> host_device(const Backend& backend);

}  // namespace scrawl::testing
