#pragma once
/// What is timed: the calls of the two networks that must be fast (models/recipes/crnn.toml, cnn62.toml) and
/// of the operations beside them, each by a name that is its repro.

#include <functional>
#include <memory>
#include <string>
#include <vector>

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

Numbers numbers_of(const std::string& name);
/// The same inputs in f32, for a device that makes the check.
Numbers widened(const Numbers&);
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

/// Problems that differ in batch and type.
struct Family {
  std::string operation;           ///< conv2d.forward
  std::string layer;               ///< a2; "" where there is but one
  std::vector<std::string> types;  ///< bf16, f16, tf32, f32
  std::vector<std::int64_t> batches;
  std::int64_t check_batch = 2;  ///< at which outputs are compared with another device's
  std::function<Problem(std::int64_t batch, const Numbers&)> make;
};

enum class Extents : std::uint8_t { networks, tiny };  ///< tiny: for simt

std::vector<Family> families(Extents);

/// Whose rates are the device's ceilings: a copy of so many bytes, and a square product.
Problem copy_of(std::int64_t bytes);
Problem square_product(std::int64_t side, const Numbers&);

}  // namespace scrawl::bench
