#include "kernels/pool.h"

#include "kernels/error.h"
#include "kernels/window.h"

namespace scrawl {

Shape pool_output(const PoolParams& p, const Shape& x) {
  if (x.rank != 4) throw ShapeError("pool: x: expected N C H W, got {}", to_string(x));
  // Each window then holds a pixel of x.
  if (p.pad_h >= p.window_h || p.pad_w >= p.window_w)
    throw ShapeError("pool: padding: expected less than the window {}x{}, got {}x{}", p.window_h, p.window_w,
                     p.pad_h, p.pad_w);
  const auto height = window_output("pool", "height", x[2], {p.window_h, p.stride_h, p.pad_h, p.pad_h});
  const auto width = window_output("pool", "width", x[3], {p.window_w, p.stride_w, p.pad_w, p.pad_w});
  return {x[0], x[1], height, width};
}

DType argmax_type(const PoolParams& p) { return p.window_h * p.window_w <= 256 ? DType::u8 : DType::i32; }

}  // namespace scrawl
