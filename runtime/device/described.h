#pragma once
/// A GPU that is not here, to plan for: networks are laid out as they would be on one. Nothing runs.

#include <memory>

#include "runtime/device/device.h"

namespace scrawl {

/// An H200's: what variants are chosen by.
inline constexpr int described_multiprocessors = 132;

/// Named cuda. Null if this build has no CUDA kernels in any form. Whoever asks it for memory or for work
/// gets a DeviceError.
std::unique_ptr<Device> described_cuda(const DeviceOptions&);

}  // namespace scrawl
