#include "bench/kernels/problems.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "bench/kernels/named.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> all = [] {
    std::map<std::string, Maker> some = image_makers();
    for (const auto* const others : {&matrix_makers(), &sequence_makers(), &elementwise_makers()})
      some.insert(others->begin(), others->end());
    return some;
  }();
  return all;
}

}  // namespace

Problem problem_of(const Name& name) {
  const auto found = makers().find(name.operation());
  if (found == makers().end())
    throw UsageError("{}: expected one of {}", name.text(), fmt::join(operations(), ", "));
  auto made = found->second(name);
  name.expect_all_used();
  return made;
}

Name smaller(const Name& name, Extents extents) {
  auto small = name;
  const auto limit = [&](const std::string& key, std::int64_t most) {
    if (name.has(key)) small.set(key, std::min(name.at(key), most));
  };
  const bool is_product = name.operation() == "gemm";
  const bool is_small = extents == Extents::small;
  if (is_product && is_small) limit("M", 64), limit("N", 64);
  if (!is_product) limit("N", 2);
  for (const auto* const key : {"rows", "parameters", "elements"}) limit(key, is_small ? 50 : 1000);
  if (!is_small) return small;
  if (!name.operation().starts_with("lstm")) limit("H", 16);  // there, of cells
  limit("W", 16);
  limit("T", 8);
  limit("L", 3);
  return small;
}

bool multiplies(const Name& name) {
  const auto& operation = name.operation();
  return std::ranges::any_of(std::array{"conv2d", "dense", "gemm", "lstm"},
                             [&](std::string_view family) { return operation.starts_with(family); });
}

std::vector<std::string> operations() {
  std::vector<std::string> names;
  for (const auto& [operation, maker] : makers()) names.push_back(operation);
  return names;
}

Name copy_of(std::int64_t bytes) { return Name("copy", "f32").set("elements", bytes / 4); }

Name square_product(std::int64_t side, const std::string& type) {
  return Name("gemm", type).set("M", side).set("N", side).set("K", side);
}

Name widened(Name name) {
  if (const auto rounding = numbers_of(name).rounding; rounding != DType::f32)
    name.set("rounding", name_of(rounding));
  name.set_type("f32");
  return name;
}

Numbers numbers_of(const Name& name) {
  auto numbers = numbers_of(name.type());
  if (const auto rounding = name.get("rounding", ""); !rounding.empty())
    numbers.rounding = numbers_of(rounding).storage;
  return numbers;
}

Numbers numbers_of(const std::string& name) {
  if (name == "bf16") return {name, DType::bf16, F32Products::exact, DType::bf16};
  if (name == "f16") return {name, DType::f16, F32Products::exact, DType::f16};
  if (name == "tf32") return {name, DType::f32, F32Products::tf32, DType::f32};
  if (name == "f32") return {name, DType::f32, F32Products::exact, DType::f32};
  throw UsageError("type: expected bf16, f16, tf32 or f32, got {}", name);
}

// Roundings on the way average out in a norm: a few units of the storage type hold them, and a wrong index or
// sign is far beyond. Gradients through an LSTM's steps take most.
double tolerance_of(const Numbers& numbers) {
  if (numbers.storage == DType::bf16) return 0x1p-5;
  if (numbers.storage == DType::f16 || numbers.products == F32Products::tf32) return 0x1p-8;
  return 1e-4;
}

}  // namespace scrawl::bench
