#include "kernels/window.h"

#include <algorithm>

#include "kernels/error.h"

namespace scrawl {

std::int64_t window_output(std::string_view operation, std::string_view axis, std::int64_t extent,
                           const Window& window) {
  const auto [size, stride, before, after, dilation] = window;
  if (size < 1 || stride < 1 || dilation < 1 || before < 0 || after < 0)
    throw ShapeError(
        "{}: {}: expected window, stride and dilation >= 1 and padding >= 0, got {}, {}, {} and {}, {}",
        operation, axis, size, stride, dilation, before, after);
  constexpr std::int64_t most = 1 << 30;  // kernels count pixels in 32 bits
  const auto largest = std::max({size, stride, dilation, before, after});
  if (largest > most || size * dilation > most)
    throw ShapeError("{}: {}: expected window, stride, dilation and padding up to {} pixels, got {}",
                     operation, axis, most, largest > most ? largest : size * dilation);
  const auto reach = dilation * (size - 1) + 1;
  const auto room = extent + before + after;
  if (extent < 1 || reach > room)
    throw ShapeError("{}: {}: expected at least {} pixels for the window, got {} (padding included)",
                     operation, axis, reach, extent < 1 ? 0 : room);
  return (room - reach) / stride + 1;
}

}  // namespace scrawl
