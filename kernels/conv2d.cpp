#include "kernels/conv2d.h"

#include "kernels/error.h"
#include "kernels/window.h"

namespace scrawl {

Shape conv2d_output(const Conv2dParams& p, const Shape& x, const Shape& w) {
  if (x.rank != 4) throw ShapeError("conv2d: x: expected N C H W, got {}", to_string(x));
  if (w.rank != 4) throw ShapeError("conv2d: w: expected K C/G R S, got {}", to_string(w));
  if (x[1] < 1 || w[0] < 1)
    throw ShapeError("conv2d: channels: expected at least one of x and of y, got C = {} and K = {}", x[1],
                     w[0]);
  if (p.groups < 1 || x[1] % p.groups != 0 || w[0] % p.groups != 0)
    throw ShapeError("conv2d: groups: expected a divisor of C = {} and K = {}, got {}", x[1], w[0], p.groups);
  if (w[1] * p.groups != x[1])
    throw ShapeError("conv2d: w: expected {} input channels a group, got {}", x[1] / p.groups, w[1]);
  const auto height =
      window_output("conv2d", "height", x[2], {w[2], p.stride_h, p.pad_top, p.pad_bottom, p.dilation_h});
  const auto width =
      window_output("conv2d", "width", x[3], {w[3], p.stride_w, p.pad_left, p.pad_right, p.dilation_w});
  return {x[0], w[0], height, width};
}

bool pools_in_tiles(const PoolParams& p) {
  const auto pixels = p.window_h * p.window_w;
  return p.kind == PoolKind::max && p.stride_h == p.window_h && p.stride_w == p.window_w && p.pad_h == 0 &&
         p.pad_w == 0 && pixels > 0 && most_pooled_pixels % pixels == 0;
}

}  // namespace scrawl
