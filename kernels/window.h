#pragma once
/// Where windows slide: the extent arithmetic that convolution and pooling share.

#include <cstdint>
#include <string_view>

namespace scrawl {

/// A window along one axis. `size` counts taps, `before` and `after` padded pixels.
struct Window {
  std::int64_t size = 1, stride = 1, before = 0, after = 0, dilation = 1;
};

/// Output extent: floor((extent + before + after - dilation (size - 1) - 1) / stride) + 1.
/// Throws ShapeError, naming operation and axis, if the window is malformed or does not fit.
std::int64_t window_output(std::string_view operation, std::string_view axis, std::int64_t extent,
                           const Window&);

}  // namespace scrawl
