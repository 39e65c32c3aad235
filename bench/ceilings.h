#pragma once
/// Measured rates that no call of a device goes beyond, but for what lies in its caches.

#include "bench/report.h"
#include "runtime/device/device.h"

namespace scrawl::bench {

/// Bytes read and written a second by the fastest variant of a copy that is larger than the caches. Throws
/// DeviceError where time means nothing.
Ceiling copy_ceiling(Device&, const Selection&);

/// FLOPs a second of the fastest variant of a large square product, `storage` in and out, of random numbers.
/// How f32 is multiplied is the selection's. Throws as copy_ceiling.
Ceiling product_ceiling(Device&, const Selection&, DType storage);

}  // namespace scrawl::bench
