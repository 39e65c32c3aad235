#pragma once
/// Products of bf16 two at a time: a register holds, for 16 columns, two neighbouring values of the axis that
/// is summed. Twice the products of f32 FMAs on AMD's Zen 5 (7.65 against 7.70 G instructions/s a core); half
/// of them on Intel's Sapphire Rapids, where the instruction issues every other cycle.

#include "kernels/cpu/vector.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

/// Memory of two bf16 values, the first in the lower half.
struct [[gnu::may_alias]] bf16_pair {
  std::uint32_t bits;
};

/// Whether this processor, as compiled for, gains by them.
inline bool bf16_pairs_are_fast() {
#ifdef __AVX512BF16__
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
#else
  return false;
#endif
}

/// Throws Refused where pairs are not for this type or this processor.
inline void require_bf16_pairs(DType type) {
  if (type != DType::bf16) throw Refused("needs bf16, got {}", name_of(type));
  if (!bf16_pairs_are_fast()) throw Refused("needs a processor whose bf16 products outrun those of f32");
}

/// What a matrix product multiplies: a value of f32, or a pair of bf16.
template <class Element>
struct Operand;

template <>
struct Operand<float> {
  using Value = float;
  using Vector = f32x16;
  static constexpr int values = 1;  ///< of the summed axis in an element

  [[gnu::always_inline]] static inline void add_product(f32x16& sum, Vector b, float a) { sum += b * a; }
  [[gnu::always_inline]] static inline Vector joined(f32x16 first, f32x16) { return first; }
};

template <>
struct Operand<bf16_pair> {
  using Value = bf16;
  using Vector = u32x16;
  static constexpr int values = 2;

  /// Subnormal values and sums count as zero.
  [[gnu::always_inline]] static inline void add_product(f32x16& sum, Vector b, bf16_pair a) {
    const u32x16 pair = u32x16{} + a.bits;
#ifdef __AVX512BF16__
    sum = (f32x16)_mm512_dpbf16_ps(sum, (__m512bh)b, (__m512bh)pair);
#else
    sum += (f32x16)(b & 0xffff0000u) * (f32x16)(pair & 0xffff0000u);
    sum += (f32x16)(b << 16) * (f32x16)(pair << 16);
#endif
  }
  /// Of values that bf16 holds exactly.
  [[gnu::always_inline]] static inline Vector joined(f32x16 first, f32x16 second) {
    return ((u32x16)first >> 16) | ((u32x16)second & 0xffff0000u);
  }
};

/// Elements that hold so many values of the summed axis.
template <class Element>
constexpr std::int64_t elements_for(std::int64_t values) {
  return (values + Operand<Element>::values - 1) / Operand<Element>::values;
}

enum class Products : std::uint8_t { f32, bf16_pairs };

/// Calls f.template operator()<T, Element>() for a storage type: products in pairs where chosen.
template <class F>
void dispatch_products(DType type, Products products, F&& f) {
  if (products == Products::bf16_pairs) return f.template operator()<bf16, bf16_pair>();
  dispatch_storage(type, [&]<class T>() { f.template operator()<T, float>(); });
}

/// The elements that so many values make; the memory holds whole elements.
template <class Element>
const Element* elements(const typename Operand<Element>::Value* values) {
  return reinterpret_cast<const Element*>(values);
}

}  // namespace scrawl::cpu
