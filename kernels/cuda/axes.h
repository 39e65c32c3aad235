#pragma once
/// How elements go from one strided placement to another: as few axes as will do.

#include <algorithm>
#include <array>

#include "kernels/view.h"

namespace scrawl {

/// Axes of the elements of x and y, outermost in y first. Neighbours that lie in both as one axis would are
/// one; axes of extent 1 are left out, but for a last one.
struct Axes {
  int rank = 0;
  std::int64_t extents[max_rank] = {}, x_strides[max_rank] = {}, y_strides[max_rank] = {};
};

/// Of two strided views of one shape, not empty.
inline Axes axes_of(const View& x, const View& y) {
  struct Axis {
    std::int64_t extent = 1, x = 1, y = 1;
  };
  std::array<Axis, max_rank> all;
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.shape.rank); ++i)
    if (x.shape.dims[i] != 1) all[count++] = {x.shape.dims[i], x.strides[i], y.strides[i]};
  if (count == 0) count = 1;
  const auto outermost_first = [](const Axis& a, const Axis& b) { return a.y > b.y; };
  std::stable_sort(all.begin(), all.begin() + count, outermost_first);

  Axes axes;
  for (std::size_t i = 0; i < count; ++i) {
    const Axis& axis = all[i];
    int last = axes.rank - 1;
    const bool joins = last >= 0 && axes.x_strides[last] == axis.x * axis.extent &&
                       axes.y_strides[last] == axis.y * axis.extent;
    if (!joins) last = axes.rank++;
    axes.extents[last] = axis.extent * (joins ? axes.extents[last] : 1);
    axes.x_strides[last] = axis.x;
    axes.y_strides[last] = axis.y;
  }
  return axes;
}

}  // namespace scrawl
