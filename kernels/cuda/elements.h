#pragma once
/// Kernels that go over memory element by element: whole vectors where memory is aligned, single elements
/// elsewhere and behind the last vector.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device/convert.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/vector.h"
#include "kernels/cuda/operands.h"

namespace SCRAWL_CUDA {

struct Elementwise {
  static constexpr int threads = 256;
  static constexpr int in_flight = 4;  ///< vectors that a lane loads before it stores the first
};

/// N elements in registers, as they are stored: what takes them apart must wait for the load.
template <class T, int N>
struct Stored {
  static constexpr std::size_t bytes = N * sizeof(T);
  using Unit = std::conditional_t<bytes == 1, std::uint8_t,
                                  std::conditional_t<bytes == 2, std::uint16_t, std::uint32_t>>;
  static constexpr int units = static_cast<int>(bytes / sizeof(Unit));
  Unit values[units];
};

template <int N>
struct Floats {
  float values[N];

  SCRAWL_DEVICE float& operator[](int i) { return values[i]; }
  SCRAWL_DEVICE float operator[](int i) const { return values[i]; }
};

/// The address must be a multiple of all the bytes.
template <int N, class T>
SCRAWL_DEVICE Stored<T, N> load_stored(const T* from, Place place = Place::here()) {
  using Result = Stored<T, N>;
  const auto* const units = reinterpret_cast<const typename Result::Unit*>(from);
  Result stored;
  if constexpr (Result::units == 1) {
    stored.values[0] = *units;
  } else {
    const auto vector = load_vector<Result::units>(units, place);
#pragma unroll
    for (int i = 0; i < Result::units; ++i) stored.values[i] = vector[i];
  }
  return stored;
}

template <class T, int N>
SCRAWL_DEVICE void store_stored(T* to, const Stored<T, N>& stored, Place place = Place::here()) {
  using Unit = typename Stored<T, N>::Unit;
  constexpr int units = Stored<T, N>::units;
  if constexpr (units == 1) {
    *reinterpret_cast<Unit*>(to) = stored.values[0];
  } else {
    Vector<Unit, units> vector;
#pragma unroll
    for (int i = 0; i < units; ++i) vector[i] = stored.values[i];
    store_vector(reinterpret_cast<Unit*>(to), vector, place);
  }
}

/// u8 counts as a type of storage here.
template <class T, int N>
SCRAWL_DEVICE Floats<N> to_floats(const Stored<T, N>& stored) {
  struct Elements {
    T values[N];
  };
  const auto elements = std::bit_cast<Elements>(stored);
  Floats<N> x;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if constexpr (std::is_same_v<T, std::uint8_t>)
      x[i] = static_cast<float>(elements.values[i]);
    else
      x[i] = to_float(elements.values[i]);
  }
  return x;
}

template <class T, int N>
SCRAWL_DEVICE void store_floats(T* to, const Floats<N>& x, Place place = Place::here()) {
  struct Elements {
    T values[N];
  } elements;
#pragma unroll
  for (int i = 0; i < N; ++i) elements.values[i] = from_float<T>(x[i]);
  store_stored(to, std::bit_cast<Stored<T, N>>(elements), place);
}

/// An Operation is what a kernel does, with its operands: `vector` elements make up its widest vector;
/// load<N>(i) brings what it reads of elements i to i + N into registers; store<N>(i, loaded) does the rest.
template <class Operation>
SCRAWL_KERNEL SCRAWL_THREADS(Elementwise::threads, 4) void elementwise(Operation operation,
                                                                       std::int64_t count, bool in_vectors) {
  constexpr int vector = Operation::vector, stride = Elementwise::threads * vector;
  constexpr std::int64_t tile = std::int64_t{stride} * Elementwise::in_flight;
  const auto first = std::int64_t{block_index().x} * tile;
  const int own = static_cast<int>(count - first < tile ? count - first : tile);
  const int whole = in_vectors ? own / vector * vector : 0;
  decltype(operation.template load<vector>(first)) loaded[Elementwise::in_flight];
#pragma unroll
  for (int j = 0; j < Elementwise::in_flight; ++j) {
    const int i = j * stride + thread_index() * vector;
    if (i < whole) loaded[j] = operation.template load<vector>(first + i);
  }
#pragma unroll
  for (int j = 0; j < Elementwise::in_flight; ++j) {
    const int i = j * stride + thread_index() * vector;
    if (i < whole) operation.template store<vector>(first + i, loaded[j]);
  }
  for (int i = whole + thread_index(); i < own; i += Elementwise::threads)
    operation.template store<1>(first + i, operation.template load<1>(first + i));
}

/// Whether all of these operands' memory may be taken in vectors.
template <class... Views>
bool are_vector_aligned(const Views&... views) {
  return (is_vector_aligned(views.data) && ...);
}

/// Does `operation` on `count` elements, in vectors if its operands allow.
template <class Operation>
void launch_elementwise(std::string_view name, const Operation& operation, std::int64_t count,
                        bool in_vectors, Stream stream) {
  constexpr std::int64_t tile =
      std::int64_t{Elementwise::threads} * Operation::vector * Elementwise::in_flight;
  launch({.kernel = name,
          .blocks = {blocks_for(count, tile)},
          .threads = Elementwise::threads,
          .stream = stream},
         elementwise<Operation>, operation, count, in_vectors);
}

}  // namespace SCRAWL_CUDA
