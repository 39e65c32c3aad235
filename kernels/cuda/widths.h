#pragma once
/// Valid widths of images (conv2d.h), clamped wherever one is read.

#include <cstdint>

#include "kernels/cuda/device/target.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// One an image, or the width of them all.
struct Widths {
  const std::int32_t* each = nullptr;
  int all = 0;

  Widths() = default;
  Widths(const View& widths, std::int64_t width)
      : each(widths.as<const std::int32_t>()), all(static_cast<int>(width)) {}

  SCRAWL_DEVICE int operator[](std::int64_t n) const {
    if (!each) return all;
    const int width = each[n];
    return width < 0 ? 0 : width < all ? width : all;
  }
};

}  // namespace SCRAWL_CUDA
