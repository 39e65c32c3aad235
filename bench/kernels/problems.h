#pragma once
/// What is timed: a call, by a name that is its repro.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/kernels/name.h"
#include "bench/kernels/work.h"
#include "bench/report.h"

namespace scrawl::bench {

/// How a problem's numbers are stored and multiplied.
struct Numbers {
  std::string name;  ///< "tf32"
  DType storage = DType::f32;
  F32Products products = F32Products::exact;
  DType rounding = DType::f32;  ///< of the inputs, whatever stores them
};

Numbers numbers_of(const std::string& type);
/// By a name's type, and its word `rounding`: the type that inputs are rounded to, where that is not their
/// own.
Numbers numbers_of(const Name&);
/// |y - r| / |r|, Euclidean, that a right output may have.
double tolerance_of(const Numbers&);

struct Contender;

struct Problem {
  std::string name;  ///< conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]
  Cost cost;
  /// Names of the variants that take it, fastest first. Plans alone: no memory is taken.
  std::function<std::vector<std::string>(Device&, const Selection&)> variants;
  /// Throws Unsupported if none takes it.
  std::function<std::unique_ptr<Work>(Device&, const Selection&)> place;
  /// The vendor's ways that are to be searched, on CUDA; absent where its variants are all. Throws
  /// DeviceError without its library, Refused where that does no such call.
  std::function<std::vector<Contender>(Device&, const Selection&)> contenders = {};
};

/// Throws UsageError for a name that means nothing, with the nearest operations.
Problem problem_of(const Name&);

/// What outputs are checked at: a few samples, rows or parameters; or small images and few steps, too.
enum class Extents : std::uint8_t { few, small };
Name smaller(const Name&, Extents);

/// The same inputs in f32, for a device that makes the check.
Name widened(Name);

/// Whether a problem is of matrix products, which types decide how to make: tf32 has no meaning elsewhere.
bool multiplies(const Name&);

/// Every operation that has problems.
std::vector<std::string> operations();

/// Whose rates are the device's ceilings: a copy of so many bytes, and a square product.
Name copy_of(std::int64_t bytes);
Name square_product(std::int64_t side, const std::string& type);

}  // namespace scrawl::bench
