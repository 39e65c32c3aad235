#include <cmath>
#include <numeric>

#include "kernels/random.h"
#include "models/network.h"

namespace scrawl {
namespace {

/// Uniform draws in [-1, 1).
class Draws {
 public:
  Draws(std::string_view name, std::uint64_t seed)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        name_(draw_key(name)) {}

  float next() {
    if (at_ % 4 == 0) words_ = philox({static_cast<std::uint32_t>(at_ / 4), 0, name_, 0x696e6974u}, key_);
    return 2 * uniform01(words_[at_++ % 4]) - 1;
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint32_t name_;
  std::array<std::uint32_t, 4> words_{};
  std::uint64_t at_ = 0;
};

/// Orthonormal rows (or columns, where there are more rows) by modified Gram-Schmidt on random vectors.
void orthogonal(std::span<float> matrix, std::size_t n, Draws& draws) {
  for (auto& v : matrix) v = draws.next();
  const std::size_t rows = matrix.size() / n;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = matrix.subspan(r * n, n);
    for (std::size_t before = r / n * n; before < r; ++before) {  // blocks of n rows are orthonormal each
      const auto other = matrix.subspan(before * n, n);
      const auto dot = std::inner_product(row.begin(), row.end(), other.begin(), 0.0);
      for (std::size_t i = 0; i < n; ++i) row[i] -= static_cast<float>(dot) * other[i];
    }
    const auto norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    for (auto& v : row) v = static_cast<float>(v / norm);
  }
}

void fill(std::span<float> values, const Shape& shape, const ParameterStart& start, Draws& draws) {
  using Kind = ParameterStart::Kind;
  switch (start.kind) {
    case Kind::uniform:
      for (auto& v : values) v = start.constant + (start.bound > 0 ? start.bound * draws.next() : 0);
      break;
    case Kind::orthogonal:
      orthogonal(values, static_cast<std::size_t>(shape[shape.rank - 1]), draws);
      break;
    case Kind::forget_one: {
      const auto gates = static_cast<std::size_t>(shape[1]), hidden = gates / 4;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % gates / hidden == 1 ? 1.0f : 0.0f;
      break;
    }
  }
}

void write(Storage& storage, const Tensor& tensor, std::span<const float> values) {
  storage.tensor(tensor.name, tensor.spec);
  if (tensor.spec.type == DType::f64) {
    const std::vector<double> wide(values.begin(), values.end());
    storage.write(tensor.name, std::as_bytes(std::span(wide)));
  } else {
    storage.write(tensor.name, std::as_bytes(values));
  }
}

}  // namespace

void initialize(Storage& storage, const Network& network, std::uint64_t seed) {
  std::size_t next = 0;
  for (const auto& tensor : network.graph.tensors()) {
    std::vector<float> values(static_cast<std::size_t>(tensor.spec.shape.count()));
    if (tensor.role == Role::parameter) {
      const auto& start = network.starts.at(next++);
      Draws draws(tensor.name, seed);
      fill(values, tensor.spec.shape, start, draws);
      write(storage, tensor, values);
    } else if (tensor.role == Role::state) {
      if (tensor.name.ends_with(".running_var")) std::ranges::fill(values, 1.0f);
      write(storage, tensor, values);
    }
  }
}

}  // namespace scrawl
