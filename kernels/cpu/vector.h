#pragma once
/// Sixteen floats at a time: the vector type of the CPU kernels, and the functions that they apply to it.
///
/// GCC vector extensions, so that +, -, *, / and comparisons of lanes are the language's own, and a processor
/// without AVX-512 gets the same results from narrower registers. Intrinsics stand where the compiler does
/// not find the instruction. Everything here is inlined: no symbol is shared between files compiled for
/// different processors.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/dtype.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

// Vectors are passed by value to inlined functions only, so -Wno-psabi: their calling convention is never
// used.
#define SCRAWL_INLINE [[gnu::always_inline]] inline

namespace scrawl::cpu {

inline constexpr int lanes = 16;

using f32x16 = float __attribute__((vector_size(64)));
using i32x16 = std::int32_t __attribute__((vector_size(64)));
using u32x16 = std::uint32_t __attribute__((vector_size(64)));
using u16x16 = std::uint16_t __attribute__((vector_size(32)));
using u8x16 = std::uint8_t __attribute__((vector_size(16)));

#ifdef __AVX512F__
using mask16 = __mmask16;  ///< one truth value a lane; & | ~ combine them
/// For intrinsics in their zero-masked form: g++ 12 warns falsely of an uninitialised value in the plain
/// form.
inline constexpr mask16 all_lanes = 0xffff;
#else
using mask16 = i32x16;
#endif

SCRAWL_INLINE f32x16 broadcast(float value) { return f32x16{} + value; }
SCRAWL_INLINE i32x16 broadcast(std::int32_t value) { return i32x16{} + value; }
SCRAWL_INLINE i32x16 lane_numbers() { return i32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

// -------------------------------------------------------------------------------------- masks and selection

#ifdef __AVX512F__
SCRAWL_INLINE mask16 less(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SCRAWL_INLINE mask16 less_equal(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
SCRAWL_INLINE mask16 is_nan(f32x16 a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
SCRAWL_INLINE mask16 equal(i32x16 a, i32x16 b) { return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b); }
SCRAWL_INLINE mask16 at_least(u32x16 a, u32x16 b) { return _mm512_cmpge_epu32_mask((__m512i)a, (__m512i)b); }
SCRAWL_INLINE f32x16 select(mask16 mask, f32x16 yes, f32x16 no) {
  return _mm512_mask_blend_ps(mask, no, yes);
}
SCRAWL_INLINE i32x16 select(mask16 mask, i32x16 yes, i32x16 no) {
  return (i32x16)_mm512_mask_blend_epi32(mask, (__m512i)no, (__m512i)yes);
}
SCRAWL_INLINE bool any(mask16 mask) { return mask != 0; }
SCRAWL_INLINE mask16 first_lanes(int count) { return static_cast<mask16>((1u << count) - 1u); }
#else
SCRAWL_INLINE mask16 less(f32x16 a, f32x16 b) { return a < b; }
SCRAWL_INLINE mask16 less_equal(f32x16 a, f32x16 b) { return a <= b; }
SCRAWL_INLINE mask16 is_nan(f32x16 a) { return a != a; }
SCRAWL_INLINE mask16 equal(i32x16 a, i32x16 b) { return a == b; }
SCRAWL_INLINE mask16 at_least(u32x16 a, u32x16 b) { return a >= b; }
SCRAWL_INLINE f32x16 select(mask16 mask, f32x16 yes, f32x16 no) { return mask ? yes : no; }
SCRAWL_INLINE i32x16 select(mask16 mask, i32x16 yes, i32x16 no) { return mask ? yes : no; }
SCRAWL_INLINE bool any(mask16 mask) {
  std::int32_t all = 0;
  for (int i = 0; i < lanes; ++i) all |= mask[i];
  return all != 0;
}
SCRAWL_INLINE mask16 first_lanes(int count) { return lane_numbers() < count; }
#endif

/// a < b ? a : b, so b where either is NaN.
SCRAWL_INLINE f32x16 min(f32x16 a, f32x16 b) {
#ifdef __AVX512F__
  return _mm512_maskz_min_ps(all_lanes, a, b);
#else
  return a < b ? a : b;
#endif
}

/// a > b ? a : b, so b where either is NaN.
SCRAWL_INLINE f32x16 max(f32x16 a, f32x16 b) {
#ifdef __AVX512F__
  return _mm512_maskz_max_ps(all_lanes, a, b);
#else
  return a > b ? a : b;
#endif
}

SCRAWL_INLINE f32x16 square_root(f32x16 x) {
#ifdef __AVX512F__
  return _mm512_maskz_sqrt_ps(all_lanes, x);
#else
  for (int i = 0; i < lanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

SCRAWL_INLINE f32x16 abs(f32x16 x) { return (f32x16)((u32x16)x & 0x7fffffffu); }

/// The magnitude of one with the sign bit of the other.
SCRAWL_INLINE f32x16 copy_sign(f32x16 magnitude, f32x16 sign) {
  return (f32x16)(((u32x16)magnitude & 0x7fffffffu) | ((u32x16)sign & 0x80000000u));
}

// ------------------------------------------------------------------------------------------ load and store

/// How 16 values of T lie in memory, and their conversion from and to what is computed with.
template <class T>
struct Packed;

template <>
struct Packed<float> {
  using Vector = f32x16;
  SCRAWL_INLINE static f32x16 widen(f32x16 x) { return x; }
  SCRAWL_INLINE static f32x16 narrow(f32x16 x) { return x; }
};

template <>
struct Packed<std::int32_t> {
  using Vector = i32x16;
  SCRAWL_INLINE static i32x16 widen(i32x16 x) { return x; }
  SCRAWL_INLINE static i32x16 narrow(i32x16 x) { return x; }
};

// g++ 12 turns __builtin_convertvector between 16 lanes of different width into chains of shuffles.

template <>
struct Packed<std::uint8_t> {
  using Vector = u8x16;
  SCRAWL_INLINE static i32x16 widen(u8x16 x) {
#ifdef __AVX512F__
    return (i32x16)_mm512_maskz_cvtepu8_epi32(all_lanes, (__m128i)x);
#else
    return __builtin_convertvector(x, i32x16);
#endif
  }
  /// The lower bits.
  SCRAWL_INLINE static u8x16 narrow(i32x16 x) {
#ifdef __AVX512F__
    return (u8x16)_mm512_maskz_cvtepi32_epi8(all_lanes, (__m512i)x);
#else
    return __builtin_convertvector(x, u8x16);
#endif
  }
};

template <>
struct Packed<bf16> {
  using Vector = u16x16;
  SCRAWL_INLINE static f32x16 widen(u16x16 x) {
#ifdef __AVX512F__
    return (f32x16)((u32x16)_mm512_maskz_cvtepu16_epi32(all_lanes, (__m256i)x) << 16);
#else
    return (f32x16)(__builtin_convertvector(x, u32x16) << 16);
#endif
  }
  /// Rounds to nearest even; NaN stays NaN. As dtype.h's bf16, subnormals included.
  SCRAWL_INLINE static u16x16 narrow(f32x16 x) {
    const u32x16 bits = (u32x16)x;
    const u32x16 rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const u32x16 upper = (u32x16)select(is_nan(x), (i32x16)(bits | 0x400000u), (i32x16)rounded) >> 16;
#ifdef __AVX512F__
    return (u16x16)_mm512_maskz_cvtepi32_epi16(all_lanes, (__m512i)upper);
#else
    return __builtin_convertvector(upper, u16x16);
#endif
  }
};

template <>
struct Packed<f16> {
  using Vector = u16x16;
#ifdef __AVX512F__
  SCRAWL_INLINE static f32x16 widen(u16x16 x) { return _mm512_maskz_cvtph_ps(all_lanes, (__m256i)x); }
  SCRAWL_INLINE static u16x16 narrow(f32x16 x) {
    return (u16x16)_mm512_maskz_cvtps_ph(all_lanes, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
#else
  SCRAWL_INLINE static f32x16 widen(u16x16 x) {
    f32x16 value;
    for (int i = 0; i < lanes; ++i) value[i] = static_cast<float>(std::bit_cast<f16>(std::uint16_t{x[i]}));
    return value;
  }
  SCRAWL_INLINE static u16x16 narrow(f32x16 x) {
    u16x16 value;
    for (int i = 0; i < lanes; ++i) value[i] = f16(x[i]).bits;
    return value;
  }
#endif
};

/// A register from any address.
template <class Vector>
SCRAWL_INLINE Vector load_bits(const void* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// A register to any address.
template <class Vector>
SCRAWL_INLINE void store_bits(void* to, Vector value) {
  std::memcpy(to, &value, sizeof value);
}

/// 16 values from any address that is aligned for one.
template <class T>
SCRAWL_INLINE auto load(const T* from) {
  return Packed<T>::widen(load_bits<typename Packed<T>::Vector>(from));
}

template <class T, class Vector>
SCRAWL_INLINE void store(T* to, Vector value) {
  store_bits(to, Packed<T>::narrow(value));
}

/// The first `count` (0 to 16) values; the other lanes are zero. Reads nothing beyond them.
template <class T>
SCRAWL_INLINE auto load(const T* from, int count) {
  using Vector = typename Packed<T>::Vector;
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  const mask16 mask = first_lanes(count);
  if constexpr (sizeof(T) == 4)
    return Packed<T>::widen((Vector)_mm512_maskz_loadu_epi32(mask, from));
  else if constexpr (sizeof(T) == 2)
    return Packed<T>::widen((Vector)_mm256_maskz_loadu_epi16(mask, from));
  else
    return Packed<T>::widen((Vector)_mm_maskz_loadu_epi8(mask, from));
#else
  if (count >= lanes) return load(from);
  Vector packed{};
  if (count > 0)
    std::memcpy(&packed, static_cast<const void*>(from), static_cast<std::size_t>(count) * sizeof(T));
  return Packed<T>::widen(packed);
#endif
}

/// The first `count` (0 to 16) lanes. Writes nothing beyond them.
template <class T, class Vector>
SCRAWL_INLINE void store(T* to, Vector value, int count) {
  const auto packed = Packed<T>::narrow(value);
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  const mask16 mask = first_lanes(count);
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(to, mask, (__m512i)packed);
  else if constexpr (sizeof(T) == 2)
    _mm256_mask_storeu_epi16(to, mask, (__m256i)packed);
  else
    _mm_mask_storeu_epi8(to, mask, (__m128i)packed);
#else
  if (count > 0)
    std::memcpy(static_cast<void*>(to), &packed,
                static_cast<std::size_t>(std::min(count, lanes)) * sizeof(T));
#endif
}

/// table[index] in each lane.
SCRAWL_INLINE f32x16 gather(const float* table, i32x16 index) {
#ifdef __AVX512F__
  return _mm512_mask_i32gather_ps(f32x16{}, all_lanes, (__m512i)index, table, 4);
#else
  f32x16 value;
  for (int i = 0; i < lanes; ++i) value[i] = table[index[i]];
  return value;
#endif
}

// ----------------------------------------------------------------------------------------------- reductions

/// Sum of the lanes, in a fixed order: halves onto halves.
SCRAWL_INLINE float sum(f32x16 x) {
  x += __builtin_shuffle(x, i32x16{8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15});
  x += __builtin_shuffle(x, i32x16{4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7});
  x += __builtin_shuffle(x, i32x16{2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3});
  return x[0] + x[1];
}

/// Largest lane; unspecified if one is NaN.
SCRAWL_INLINE float largest(f32x16 x) {
  x = max(x, __builtin_shuffle(x, i32x16{8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15}));
  x = max(x, __builtin_shuffle(x, i32x16{4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7}));
  x = max(x, __builtin_shuffle(x, i32x16{2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3}));
  return x[0] > x[1] ? x[0] : x[1];
}

// ------------------------------------------------------------------------------------ elementary functions

/// x 2^n for integral n, rounded once where the result is subnormal; 0 for n = -inf, NaN for NaN x.
SCRAWL_INLINE f32x16 scale_by_power(f32x16 x, f32x16 n) {
#ifdef __AVX512F__
  return _mm512_maskz_scalef_ps(all_lanes, x, n);
#else
  // Beyond +-252 a mantissa in [2^-2, 2^2) is 0 or infinite already. Two factors: each alone is normal.
  const i32x16 whole = __builtin_convertvector(max(min(broadcast(252.0f), n), broadcast(-252.0f)), i32x16);
  const i32x16 half = whole >> 1;
  return x * (f32x16)((half + 127) << 23) * (f32x16)((whole - half + 127) << 23);
#endif
}

namespace detail {

inline constexpr float log2_e = 1.44269504088896341f;
inline constexpr float ln_2_high = 0.693359375f,
                       ln_2_low = -2.12194440e-4f;  // high has 9 bits: exact products

/// Nearest integer, ties to even, for |x| < 2^22.
SCRAWL_INLINE f32x16 round(f32x16 x) {
  const float magic = 0x1.8p23f;
  return (x + magic) - magic;
}

/// e^f for |f| <= ln(2) / 2. Coefficients: Moshier, Cephes, expf.
SCRAWL_INLINE f32x16 exp_reduced(f32x16 f) {
  f32x16 p = broadcast(1.9875691500e-4f);
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  return (p * f) * f + f + 1.0f;
}

/// 1 / x for x in [1, 2], within 1 ulp.
SCRAWL_INLINE f32x16 reciprocal(f32x16 x) {
#ifdef __AVX512F__
  const f32x16 guess = _mm512_maskz_rcp14_ps(all_lanes, x);
  return guess + guess * (1.0f - x * guess);
#else
  return 1.0f / x;
#endif
}

}  // namespace detail

/// e^x within 1.1 ulp, subnormal results within 1 of their ulp. NaN, 0 and +inf where they belong.
SCRAWL_INLINE f32x16 exp(f32x16 x) {
  const mask16 vanishes = less(x, broadcast(-103.98f));
  x = max(broadcast(-105.0f), min(broadcast(89.0f), x));  // in this order NaN passes
  const f32x16 n = detail::round(x * detail::log2_e);
  const f32x16 f = (x - n * detail::ln_2_high) - n * detail::ln_2_low;
  // Zero by a power of -inf is exact. Zero by underflow would trap into microcode, at some 100 cycles.
  const f32x16 power = select(vanishes, broadcast(-std::numeric_limits<float>::infinity()), n);
  return scale_by_power(detail::exp_reduced(f), power);
}

/// e^x as mantissa 2^exponent, mantissa in [0.7, 1.42], exponent an integer: nothing underflows. x below
/// -2e38 counts as -2e38, -inf too. NaN and +inf give a NaN mantissa.
struct Scaled {
  f32x16 mantissa, exponent;
};
SCRAWL_INLINE Scaled exp_scaled(f32x16 x) {
  const float half_ln_2 = 0.35f;
  const f32x16 bounded = max(broadcast(-2e38f), x);
  const f32x16 y = bounded * detail::log2_e;
  // An integer already from 2^22 on, and there the fraction is lost in x itself.
  const f32x16 n = select(less(abs(y), broadcast(0x1p22f)), detail::round(y), y);
  f32x16 f = (bounded - n * detail::ln_2_high) - n * detail::ln_2_low;
  f = max(broadcast(-half_ln_2), min(broadcast(half_ln_2), f));
  return {detail::exp_reduced(f), n};
}

/// ln x within 1.5 ulp; -inf at 0, NaN below, +inf at +inf.
SCRAWL_INLINE f32x16 log(f32x16 x) {
  const mask16 subnormal = less(x, broadcast(std::numeric_limits<float>::min()));
  const f32x16 scaled = select(subnormal, x * 0x1p23f, x);
  // The mantissa moves to [sqrt(1/2), sqrt(2)) by taking sqrt(1/2) from the bits, one exponent at a time.
  const i32x16 from_root = (i32x16)((u32x16)scaled - 0x3f3504f3u);  // unsigned: it wraps below 0
  const f32x16 m = (f32x16)((from_root & 0x007fffff) + 0x3f3504f3);
  const f32x16 e =
      __builtin_convertvector(from_root >> 23, f32x16) - select(subnormal, broadcast(23.0f), f32x16{});
  const f32x16 f = m - 1.0f;
  // Coefficients: Moshier, Cephes, logf.
  f32x16 p = broadcast(7.0376836292e-2f);
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const f32x16 square = f * f;
  const f32x16 low = p * f * square + e * detail::ln_2_low - 0.5f * square;
  const f32x16 y = (f + low) + e * detail::ln_2_high;
  const float infinity = std::numeric_limits<float>::infinity();
  const f32x16 not_positive =
      select(less(x, f32x16{}), broadcast(std::numeric_limits<float>::quiet_NaN()), broadcast(-infinity));
  const f32x16 not_finite = x;  // +inf or NaN
  return select(less_equal(x, f32x16{}), not_positive, select(less(x, broadcast(infinity)), y, not_finite));
}

/// 1 / (1 + e^-x) within 3 ulp, tiny results included; NaN stays NaN.
SCRAWL_INLINE f32x16 sigmoid(f32x16 x) {
  const f32x16 e = exp(-abs(x));  // in [0, 1]: the divisor is in [1, 2], and nothing overflows
  return select(less(x, f32x16{}), e, broadcast(1.0f)) * detail::reciprocal(1.0f + e);
}

/// tanh x within 3 ulp; odd, signed zero kept; NaN stays NaN.
SCRAWL_INLINE f32x16 tanh(f32x16 x) {
  const f32x16 magnitude = abs(x);
  const f32x16 e = exp(-2.0f * min(broadcast(20.0f), magnitude));  // beyond, 1 is the answer, and e subnormal
  const f32x16 far = (1.0f - e) * detail::reciprocal(1.0f + e);
  const f32x16 square = x * x;
  // Near 0 the difference cancels. Coefficients: Moshier, Cephes, tanhf.
  f32x16 p = broadcast(-5.70498872745e-3f);
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const f32x16 near = magnitude + magnitude * square * p;
  return copy_sign(select(less(magnitude, broadcast(0.625f)), near, far), x);
}

/// While it lives, the calling thread's subnormal results are zero: each would cost a trap into microcode.
class FlushSubnormals {
 public:
#ifdef __SSE2__
  FlushSubnormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | flush_to_zero); }
  ~FlushSubnormals() { __builtin_ia32_ldmxcsr(before_); }
#else
  FlushSubnormals() {}
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  static constexpr unsigned flush_to_zero = 0x8000;
  [[maybe_unused]] unsigned before_ = 0;
};

/// Calls f.template operator()<T>() with the C++ type of a storage type: f32, bf16 or f16.
template <class F>
decltype(auto) dispatch_storage(DType type, F&& f) {
  switch (type) {
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::f16:
      return f.template operator()<f16>();
    default:
      return f.template operator()<float>();
  }
}

}  // namespace scrawl::cpu

#undef SCRAWL_INLINE
