/// Our own matrix products, of f32 and of pairs of bf16, on integers whose sums are exact. Compiled twice:
/// for this machine's processor and for the oldest one.

#include "kernels/cpu/gemm_tile.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace scrawl::cpu {
namespace {

/// (rows, depth) and (depth, 64) of small integers, and their product in double.
struct Problem {
  std::int64_t rows, depth;
  std::vector<float> a, b;
  std::vector<double> expected;

  Problem(std::int64_t rows, std::int64_t depth) : rows(rows), depth(depth) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + depth));
    const auto fill = [&](std::int64_t count) {
      std::vector<float> values(static_cast<std::size_t>(count));
      for (auto& value : values) value = static_cast<float>(static_cast<int>(random() % 15) - 7);
      return values;
    };
    a = fill(rows * depth);
    b = fill(depth * tile_columns);
    expected.assign(static_cast<std::size_t>(rows * tile_columns), 1.0);  // the initial value, below
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t k = 0; k < depth; ++k)
        for (std::int64_t c = 0; c < tile_columns; ++c)
          expected[at(i * tile_columns + c)] += a[at(i * depth + k)] * b[at(k * tile_columns + c)];
  }

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
};

template <class Element>
void expect_exact(const Problem& p) {
  using Value = typename Operand<Element>::Value;
  constexpr auto values = Operand<Element>::values;
  const auto depth = elements_for<Element>(p.depth), padded = depth * values;
  std::vector<Value> a(Problem::at(p.rows * padded), Value(0.0f));
  for (std::int64_t i = 0; i < p.rows; ++i)
    for (std::int64_t k = 0; k < p.depth; ++k)
      a[Problem::at(i * padded + k)] = Value(p.a[Problem::at(i * p.depth + k)]);
  std::vector<Element> panel(Problem::at(depth * tile_columns));
  for (std::int64_t k = 0; k < p.depth; k += values)
    for (std::int64_t c = 0; c < tile_columns; c += lanes) {
      const float* const row = p.b.data() + k * tile_columns + c;
      const f32x16 second = k + 1 < p.depth ? load(row + tile_columns) : f32x16{};
      store_bits(panel.data() + k / values * tile_columns + c, Operand<Element>::joined(load(row), second));
    }
  const std::vector<float> init(tile_columns, 1.0f);
  std::vector<float> out(p.expected.size(), -1.0f);
  multiply_panel<Element>({.rows = p.rows,
                           .runs = {1, depth, 0},
                           .panel = panel.data(),
                           .init = init.data(),
                           .init_stride = 0,
                           .out = out.data()},
                          [&](std::int64_t i) { return elements<Element>(a.data() + i * padded); });
  for (std::size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], p.expected[i]) << p.rows << " rows, depth " << p.depth << ", element " << i;
}

// Around the edges of the register tile (7 rows), of pairs, and of what a panel keeps in L1 (128 elements).
TEST(gemm_tile, products_of_integers_are_exact_in_f32_and_in_pairs_of_bf16) {
  for (const std::int64_t rows : {1, 6, 7, 8, 15})
    for (const std::int64_t depth : {1, 2, 3, 127, 128, 129, 255, 256, 257, 513}) {
      const Problem problem(rows, depth);
      expect_exact<float>(problem);
      expect_exact<bf16_pair>(problem);
    }
}

}  // namespace
}  // namespace scrawl::cpu
