#pragma once
/// Random numbers as a function, not a state: Philox4x32-10.
///
/// Ten rounds turn a 128-bit counter under a 64-bit key into 128 random bits. Whoever needs a number names it
/// by counter and key (seed, step, node, sample, index), so that results depend neither on the order of
/// evaluation nor on how many workers, ranks or devices share the work.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include <array>
#include <cstdint>

#ifndef SCRAWL_HOST_DEVICE
#ifdef __CUDACC__
#define SCRAWL_HOST_DEVICE __host__ __device__
#else
#define SCRAWL_HOST_DEVICE \
  [[gnu::always_inline]]  // no copy of a file whose accesses simt watches serves another
#endif
#endif

namespace scrawl {

/// 128 random bits, as four words, for a counter and a key.
SCRAWL_HOST_DEVICE constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                                 std::array<std::uint32_t, 2> key) {
  std::uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;  // golden ratio
    k1 += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return {c0, c1, c2, c3};
}

/// The upper 24 bits as a float in [0, 1): every value is exact, 1 is never returned.
SCRAWL_HOST_DEVICE constexpr float uniform01(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

}  // namespace scrawl
