#pragma once
/// Matrix products.
///
/// Gemm:   y = op(a) op(b), op transposes where asked. a (M,K), b (K,N), y (M,N) after op.
/// Dense:  y = f(x w^T + b).  x (..., I), w (O, I), b (O) f32 or absent, y (..., O); leading axes are rows.
///         dx = dy w;  dw = dy^T x;  db = sum over rows of dy (f32, overwritten; db may be absent).
/// x, w, a, b, y: f32, bf16 or f16; y may be f32 when the inputs are narrower; dw, db f32. Sums in f32.
/// Row-major unless the backend asks otherwise. No aliasing. Throws ShapeError.

#include "kernels/activation.h"
#include "kernels/view.h"

namespace scrawl {

enum class Transpose : std::uint8_t { no, yes };

struct Gemm {
  Transpose transpose_a = Transpose::no, transpose_b = Transpose::no;
  View a, b, y;
};

struct DenseForward {
  Activation activation = Activation::none;
  KernelPhase phase = KernelPhase::training;
  View x, w, b, y;
};

struct DenseBackwardData {
  View dy, w, dx;
};

struct DenseBackwardWeight {
  View x, dy, dw, db;
};

}  // namespace scrawl
