#pragma once
/// Stores past the caches, for results so large that nothing of them is left in a cache when they are read:
/// a line is then not read before it is overwritten. One core of Emerald Rapids writes and reads back 134 MB
/// in 15.5 ms instead of 23.3, 34 MB in 3.9 instead of 4.4, but 8 MB in 0.98 instead of 0.70.

#include <cstdint>

#include "kernels/cpu/layout.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// Where vectors of 16 go: aligned ones past the caches, or any as usual.
class Sink {
 public:
  /// `image` in channel blocks: every vector is then aligned if the first is.
  explicit Sink(const View& image)
      : streams_(bytes_of(image) >= worth_streaming &&
                 reinterpret_cast<std::uintptr_t>(image.data) % sizeof(f32x16) == 0) {}

  template <class T>
  [[gnu::always_inline]] void store(T* to, f32x16 value) const {
#ifdef __AVX512F__
    if (streams_) {
      alignas(64) T narrow[lanes];
      cpu::store(narrow, value);
      if constexpr (sizeof(T) == 4)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), load_bits<__m512i>(narrow));
      else
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to), load_bits<__m256i>(narrow));
      return;
    }
#endif
    cpu::store(to, value);
  }

  /// Each thread calls this after its last store, so that other threads see them.
  void finish() const {
#ifdef __AVX512F__
    if (streams_) _mm_sfence();
#endif
  }

 private:
  static constexpr std::size_t worth_streaming = 24 << 20;
  bool streams_;
};

}  // namespace scrawl::cpu
