#pragma once
/// The nonlinearities of gates. Five of them a cell are a tenth of the forward's time at 256 hidden units, so
/// they leave out what vector.h's do for results below 2^-115, which no cell can feel: 26 ns a vector of
/// cells instead of 43 on Sapphire Rapids.

#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// 1 / (1 + e^-x) within 4 ulp for x >= -80, and that of -80 below; NaN stays NaN.
[[gnu::always_inline]] inline f32x16 gate_sigmoid(f32x16 x) {
  const f32x16 bounded = max(broadcast(-88.0f), min(broadcast(80.0f), -x));  // in this order NaN passes
  const f32x16 n = detail::round(bounded * detail::log2_e);
  const f32x16 f = (bounded - n * detail::ln_2_high) - n * detail::ln_2_low;
  return detail::reciprocal(1.0f + scale_by_power(detail::exp_reduced(f), n));
}

/// tanh x within 5 ulp; odd; NaN stays NaN. Beyond +-7.9 it is 1 in f32.
[[gnu::always_inline]] inline f32x16 gate_tanh(f32x16 x) {
  const f32x16 bounded = max(broadcast(-7.90531110763549805f), min(broadcast(7.90531110763549805f), x));
  const f32x16 square = bounded * bounded;
  // Rational fit. Coefficients: Eigen, generic_fast_tanh_float.
  f32x16 p = broadcast(-2.76076847742355e-16f);
  p = p * square + 2.00018790482477e-13f;
  p = p * square - 8.60467152213735e-11f;
  p = p * square + 5.12229709037114e-08f;
  p = p * square + 1.48572235717979e-05f;
  p = p * square + 6.37261928875436e-04f;
  p = p * square + 4.89352455891786e-03f;
  f32x16 q = broadcast(1.19825839466702e-06f);
  q = q * square + 1.18534705686654e-04f;
  q = q * square + 2.26843463243900e-03f;
  q = q * square + 4.89352518554385e-03f;
  return bounded * p * detail::reciprocal(q);
}

}  // namespace scrawl::cpu
