#pragma once
/// Device 0 of the CUDA runtime, and of simt's, which has the same functions. One source, cuda.cpp, is
/// compiled for each.

#include "runtime/device/device.h"

namespace scrawl::cuda {

/// Why the device cannot be used; "" if it can.
std::string unusable();
/// Throws DeviceError where it is unusable.
std::unique_ptr<Device> open_device(const DeviceOptions&);
DeviceSummary summary();
/// Events of a stream.
std::unique_ptr<Marks> event_marks(Stream);
/// Those that are opened where they are there; what for is not said.
std::vector<LibrarySummary> libraries();

}  // namespace scrawl::cuda

namespace scrawl::simt {

std::string unusable();
std::unique_ptr<Device> open_device(const DeviceOptions&);
DeviceSummary summary();
/// Their times count work: they have an order and no meaning.
std::unique_ptr<Marks> event_marks(Stream);

}  // namespace scrawl::simt
