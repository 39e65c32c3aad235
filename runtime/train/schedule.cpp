#include "runtime/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace scrawl {
namespace {

/// From `a` at x = 0 to `b` at x = 1 along half a cosine.
double half_cosine(double a, double b, double x) {
  return b + (a - b) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

}  // namespace

double Schedule::rate(double progress) const {
  const double p = std::clamp(progress, 0.0, 1.0);
  if (kind == Kind::one_cycle) {
    const double turn = warmup > 0 ? warmup : 0.3;
    return p < turn ? half_cosine(peak / 25, peak, p / turn)
                    : half_cosine(peak, last, (p - turn) / (1 - turn));
  }
  if (p < warmup) return peak * p / warmup;
  switch (kind) {
    case Kind::step:
      return peak * std::pow(factor, std::floor(p / every));
    case Kind::cosine:
      return half_cosine(peak, last, warmup < 1 ? (p - warmup) / (1 - warmup) : 1);
    default:
      return peak;
  }
}

}  // namespace scrawl
