#pragma once
/// How far a result may lie from the reference in double.

#include <functional>

#include "tests/kernels/stage.h"

namespace scrawl::test {

/// |y - r| <= ulps u |r| + absolute, where u is the unit roundoff of the output's type; f16 adds half of its
/// least number. Both zero: y must be r rounded to its type.
struct Tolerance {
  double ulps = 0;
  Tensor absolute = {};  ///< of the output's shape, or one number for all, or absent
};

/// By output; one that is missing must be exact.
using Tolerances = std::map<std::string, Tolerance, std::less<>>;

/// The tolerances of a call, from its inputs and the reference's outputs.
using ToleranceRule = std::function<Tolerances(const Values& inputs, const Values& expected)>;

/// Half the distance from 1 to the next number: 2^-24 in f32, 2^-8 in bf16, 2^-11 in f16.
double unit_roundoff(DType);

/// One absolute tolerance for every element.
Tensor everywhere(double absolute);

/// `absolute` = factor * max |r|: by norm.
Tolerance by_norm(double factor, const Tensor& expected);

double largest(const Tensor&);  ///< max |x|, NaN and infinities left out

Values absolute(Values);  ///< |x| of every tensor

/// The result of a comparison. Empty `problem`: within the tolerance.
struct Comparison {
  double ratio = 0;  ///< largest observed over allowed; above 1 fails
  std::string problem;
};

/// NaN agrees with NaN alone, an infinity with itself alone.
Comparison compare(const std::string& name, const Tensor& expected, const Tensor& got, DType,
                   const Tolerance&);

}  // namespace scrawl::test
