#include "kernels/simt/tensor_core.h"

#include <bit>
#include <type_traits>

namespace scrawl::simt {

namespace {

/// Element `half` of a word.
template <class T>
float element_of(std::uint32_t word, int half) {
  if constexpr (std::is_same_v<T, tf32>) {
    return std::bit_cast<float>(word & 0xffffe000u);  // the other bits are not looked at
  } else {
    T element;
    element.bits = static_cast<std::uint16_t>(word >> (16 * half));
    return static_cast<float>(element);
  }
}

}  // namespace

template <int kMatrices, bool kTransposed>
void MatrixLoad<kMatrices, kTransposed>::work(const std::array<void*, warp_lanes>& slots, std::uint32_t) {
  const auto part = [&](int lane) -> MatrixLoad& {
    return *static_cast<MatrixLoad*>(slots[static_cast<std::size_t>(lane)]);
  };
  for (int lane = 0; lane < warp_lanes; ++lane)
    for (int matrix = 0; matrix < kMatrices; ++matrix) {
      const int g = lane / 4, t = lane % 4;
      const auto element = [&](int i) -> std::uint32_t {
        return kTransposed ? part(8 * matrix + 2 * t + i).row[g] : part(8 * matrix + g).row[2 * t + i];
      };
      part(lane).result.w[matrix] = element(0) | element(1) << 16;
    }
}

template <class T>
void Product<T>::work(const std::array<void*, warp_lanes>& slots, std::uint32_t) {
  constexpr int pack = std::is_same_v<T, tf32> ? 1 : 2, depth = 8 * pack;
  float a[16][depth], b[depth][8], sums[16][8];
  const auto part = [&](int lane) -> Product& {
    return *static_cast<Product*>(slots[static_cast<std::size_t>(lane)]);
  };
  for (int lane = 0; lane < warp_lanes; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const auto& own = part(lane);
    for (int half = 0; half < pack; ++half) {
      for (int i = 0; i < 4; ++i)
        a[g + 8 * (i % 2)][pack * t + half + depth / 2 * (i / 2)] = element_of<T>(own.a.w[i], half);
      for (int i = 0; i < 2; ++i) b[pack * t + half + depth / 2 * i][g] = element_of<T>(own.b.w[i], half);
    }
    for (int i = 0; i < 4; ++i) sums[g + 8 * (i / 2)][2 * t + i % 2] = own.c.f[i];
  }
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < depth; ++k)
      for (int column = 0; column < 8; ++column) sums[row][column] += a[row][k] * b[k][column];
  for (int lane = 0; lane < warp_lanes; ++lane)
    for (int i = 0; i < 4; ++i) part(lane).c.f[i] = sums[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
}

template struct MatrixLoad<1, false>;
template struct MatrixLoad<1, true>;
template struct MatrixLoad<2, false>;
template struct MatrixLoad<2, true>;
template struct MatrixLoad<4, false>;
template struct MatrixLoad<4, true>;
template struct Product<f16>;
template struct Product<bf16>;
template struct Product<tf32>;

}  // namespace scrawl::simt
