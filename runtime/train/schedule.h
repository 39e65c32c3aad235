#pragma once
/// Learning rate as a function of progress.

#include <cstdint>

namespace scrawl {

/// rate(t) for step t of `steps`, p = t / steps:
///   constant:  peak
///   step:      peak factor^floor(p / every)
///   cosine:    last + (peak - last) (1 + cos(pi p)) / 2
///   one_cycle: rises from peak / 25 by a half cosine until p = warmup (0.3 if warmup is 0), then falls to
///   `last`
///              (Smith & Topin, 2018)
/// All but one_cycle rise linearly from 0 over the first `warmup` share of the steps.
struct Schedule {
  enum class Kind : std::uint8_t { constant, step, cosine, one_cycle } kind = Kind::constant;
  double peak = 1e-3;
  double last = 0;
  double warmup = 0;    ///< share of all steps
  double factor = 0.1;  ///< step
  double every = 0.34;  ///< step: share of all steps

  /// `progress` in [0, 1].
  double rate(double progress) const;
};

}  // namespace scrawl
