#pragma once
/// Valid widths of images: what lies beyond is zero.

#include "kernels/view.h"

namespace scrawl::cpu {

/// Writes zeros to the columns at or beyond widths[n] of each image n, in any placement of single pixels.
/// Does nothing where `widths` is absent.
void zero_beyond(const View& image, const View& widths, int threads);

}  // namespace scrawl::cpu
