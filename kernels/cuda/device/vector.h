#pragma once
/// Loads and stores of up to 16 bytes at once.

#include "kernels/cuda/device/target.h"

namespace SCRAWL_CUDA {

/// N elements that lie, and move, together.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  static_assert(sizeof(T) * N == 2 || sizeof(T) * N == 4 || sizeof(T) * N == 8 || sizeof(T) * N == 16);
  T values[N];

  SCRAWL_DEVICE T& operator[](int i) { return values[i]; }
  SCRAWL_DEVICE const T& operator[](int i) const { return values[i]; }
};

/// The elements of a type that fill 16 bytes.
template <class T>
inline constexpr int full_vector = 16 / static_cast<int>(sizeof(T));

/// From global or shared memory; the address must be a multiple of the vector's size.
template <int N, class T>
SCRAWL_DEVICE Vector<T, N> load_vector(const T* from, [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return *reinterpret_cast<const Vector<T, N>*>(from);
#else
  const auto site = place.site("load_vector");
  visit(site);
  Vector<T, N> vector;
  load(&vector, from + (is_shifted(site) ? N : 0), sizeof vector);
  return vector;
#endif
}

template <class T, int N>
SCRAWL_DEVICE void store_vector(T* to, const Vector<T, N>& vector,
                                [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  *reinterpret_cast<Vector<T, N>*>(to) = vector;
#else
  const auto site = place.site("store_vector");
  visit(site);
  store(to + (is_shifted(site) ? N : 0), &vector, sizeof vector);
#endif
}

}  // namespace SCRAWL_CUDA
