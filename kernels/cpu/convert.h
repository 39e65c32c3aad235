#pragma once
/// Values from one storage type to another, element by element in memory, whatever lies where.

#include "kernels/view.h"

namespace scrawl::cpu {

/// y[i] = x[i] scale + offset for i < elements, computed in f32; exactly x[i] for scale 1 and offset 0.
struct Affine {
  float scale = 1, offset = 0;
  bool is_identity() const { return scale == 1 && offset == 0; }
};

/// x and y have one dense placement (padding included) and no memory in common. x: f32, bf16, f16 or u8;
/// y: f32, bf16 or f16, or u8 from u8 unscaled.
void convert(const View& x, const View& y, int threads, Affine = {});

}  // namespace scrawl::cpu
