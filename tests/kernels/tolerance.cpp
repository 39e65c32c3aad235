#include "tests/kernels/tolerance.h"

#include <algorithm>
#include <cmath>

namespace scrawl::test {
namespace {

std::string position(const Shape& shape, std::size_t element) {
  std::string text;
  auto rest = static_cast<std::int64_t>(element);
  for (int axis = shape.rank - 1; axis >= 0; --axis) {
    text = fmt::format("{}{}", rest % shape[axis], text.empty() ? "" : ",") + text;
    rest /= shape[axis];
  }
  return text;
}

}  // namespace

double unit_roundoff(DType type) {
  switch (type) {
    case DType::f32:
      return 0x1p-24;
    case DType::bf16:
      return 0x1p-8;
    case DType::f16:
      return 0x1p-11;
    case DType::f64:
      return 0x1p-53;
    default:
      return 0;
  }
}

/// Half the distance from 0 to the next number: what rounding costs where numbers are subnormal.
static double half_of_least(DType type) { return type == DType::f16 ? 0x1p-25 : 0; }

Tensor everywhere(double absolute) { return Tensor(Shape{1}, absolute); }

double largest(const Tensor& tensor) {
  double most = 0;
  for (const double value : tensor.values())
    if (std::isfinite(value)) most = std::max(most, std::abs(value));
  return most;
}

Values absolute(Values values) {
  for (auto& [name, tensor] : values)
    for (double& value : tensor.values()) value = std::abs(value);
  return values;
}

Tolerance by_norm(double factor, const Tensor& expected) {
  return {.ulps = 2, .absolute = everywhere(factor * largest(expected))};
}

Comparison compare(const std::string& name, const Tensor& expected, const Tensor& got, DType type,
                   const Tolerance& tolerance) {
  if (expected.shape() != got.shape())
    return {.ratio = INFINITY,
            .problem = fmt::format("{}: expected {}, got {}", name, to_string(expected.shape()),
                                   to_string(got.shape()))};
  const bool exact = tolerance.ulps == 0 && !tolerance.absolute.present();
  const Tensor target = exact ? rounded(expected, type) : expected;
  const auto absolute = tolerance.absolute.values();
  Comparison result;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < target.values().size(); ++i) {
    const double r = target.values()[i], y = got.values()[i];
    double allowed = tolerance.ulps * unit_roundoff(type) * std::abs(r);
    if (!exact) allowed += half_of_least(type);
    if (!absolute.empty()) allowed += absolute[absolute.size() == 1 ? 0 : i];
    double ratio = 0;
    if (std::isfinite(r) && std::isfinite(y)) {
      const double off = std::abs(y - r);
      ratio = off == 0 ? 0 : off / allowed;
    } else if (!(std::isnan(r) && std::isnan(y)) && r != y) {
      ratio = INFINITY;
    }
    if (ratio > 1 && ++wrong == 1)
      result.problem = fmt::format("{}[{}]: expected {:.9g}, got {:.9g}, off by {:.3g}, allowed {:.3g}", name,
                                   position(target.shape(), i), r, y, std::abs(y - r), allowed);
    result.ratio = std::max(result.ratio, ratio);
  }
  if (wrong > 1) result.problem += fmt::format("; {} of {} elements are off", wrong, target.values().size());
  return result;
}

}  // namespace scrawl::test
