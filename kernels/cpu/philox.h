#pragma once
/// random.h's Philox4x32-10 for sixteen counters at a time.

#include <array>

#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// The draws of one key and node: counters differ in sample and group alone, as elementwise.h's Dropout has
/// it.
class PhiloxVectors {
 public:
  PhiloxVectors(std::uint32_t node, std::uint32_t seed, std::uint32_t step) : node_(node) {
    for (auto& [k0, k1] : keys_) {
      k0 = seed, k1 = step;
      seed += 0x9E3779B9u;
      step += 0xBB67AE85u;
    }
  }

  /// Word j of lane i: word j of philox({lo(sample), hi(sample), group[i], node}, {seed, step}).
  [[gnu::always_inline]] std::array<u32x16, 4> operator()(std::uint64_t sample, u32x16 group) const {
    // A 64-bit lane holds a word in its lower half, and whatever in its upper: products read the lower alone.
    const auto even = rounds(sample, (u64x8)group), odd = rounds(sample, (u64x8)group >> 32);
    std::array<u32x16, 4> words;
    for (int j = 0; j < 4; ++j) words[j] = (u32x16)((even[j] & 0xffffffffu) | (odd[j] << 32));
    return words;
  }

 private:
  using u64x8 = std::uint64_t __attribute__((vector_size(64)));

  [[gnu::always_inline]] static u64x8 product(u64x8 a, std::uint64_t b) {
#ifdef __AVX512F__
    return (u64x8)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)(u64x8{} + b));
#else
    return (a & 0xffffffffu) * b;
#endif
  }

  [[gnu::always_inline]] std::array<u64x8, 4> rounds(std::uint64_t sample, u64x8 group) const {
    u64x8 c0 = u64x8{} + sample, c1 = u64x8{} + (sample >> 32), c2 = group, c3 = u64x8{} + node_;
    for (const auto& [k0, k1] : keys_) {
      const u64x8 p0 = product(c0, 0xD2511F53u), p1 = product(c2, 0xCD9E8D57u);
      c0 = (p1 >> 32) ^ c1 ^ k0;
      c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ k1;
      c3 = p0;
    }
    return {c0, c1, c2, c3};
  }

  struct Key {
    std::uint64_t k0, k1;
  };
  std::array<Key, 10> keys_;
  std::uint64_t node_;
};

}  // namespace scrawl::cpu
