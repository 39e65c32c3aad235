#pragma once
/// Which device a name means. For open_device and its tests.

#include <span>

#include "runtime/device/device.h"

namespace scrawl {

/// What --device can name.
struct DeviceKind {
  enum class Automatic : std::uint8_t { no, yes };  ///< whether `auto` may take it

  std::string_view name;
  Automatic automatic;
  std::string (*unusable)();
  /// Null: this build has none, and `unusable` says so.
  std::unique_ptr<Device> (*open)(const DeviceOptions&);
  DeviceSummary (*summary)();
};

/// `auto` takes the first that is usable, and warns on stderr of one before it that the build has and that is
/// not. Throws DeviceError.
std::unique_ptr<Device> open_device(const DeviceOptions&, std::span<const DeviceKind>);

}  // namespace scrawl
