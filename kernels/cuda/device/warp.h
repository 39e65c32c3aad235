#pragma once
/// What the lanes of a warp do together. A mask names the lanes that take part: each of them must call, at
/// the same place, with the same mask, and none of them may have returned. That is stricter than CUDA, which
/// lets masks name lanes that have returned. Only sync_warp orders memory.

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device/block.h"

namespace SCRAWL_CUDA {

inline constexpr std::uint32_t all_lanes = 0xffffffff;

#ifndef __CUDACC__
namespace detail {

/// A shuffle's part in each lane: `from` is the lane whose value it wants.
template <class T>
struct Shuffle {
  T value;
  int from;
  T result;

  static void work(const std::array<void*, warp_size>& slots, std::uint32_t mask) {
    for (int lane = 0; lane < warp_size; ++lane) {
      if (!(mask >> lane & 1)) continue;
      auto& own = *static_cast<Shuffle*>(slots[static_cast<std::size_t>(lane)]);
      if (own.from < 0 || own.from >= warp_size || !(mask >> own.from & 1))
        fail_lane(Fault::mask, "lane " + std::to_string(lane) + " of the warp reads lane " +
                                   std::to_string(own.from) + ", which takes no part");
      own.result = static_cast<const Shuffle*>(slots[static_cast<std::size_t>(own.from)])->value;
    }
  }
};

struct Vote {
  bool value;
  std::uint32_t result;

  static void work(const std::array<void*, warp_size>& slots, std::uint32_t mask) {
    std::uint32_t votes = 0;
    const auto each = [&](auto f) {
      for (int lane = 0; lane < warp_size; ++lane)
        if (mask >> lane & 1) f(lane, *static_cast<Vote*>(slots[static_cast<std::size_t>(lane)]));
    };
    each([&](int lane, const Vote& vote) { votes |= std::uint32_t{vote.value} << lane; });
    each([&](int, Vote& vote) { vote.result = votes; });
  }
};

inline void no_work(const std::array<void*, warp_size>&, std::uint32_t) {}

template <class T>
T shuffle_from(int lane, T value, std::uint32_t mask, const Site& site) {
  Shuffle<T> shuffle{value, is_shifted(site) ? lane ^ 1 : lane, value};
  meet({site, mask, &shuffle, Shuffle<T>::work});
  return shuffle.result;
}

}  // namespace detail
#endif

/// Waits for the lanes of the mask; what one wrote before, all of them see after.
SCRAWL_DEVICE void sync_warp(std::uint32_t mask = all_lanes, [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  __syncwarp(mask);
#else
  meet({place.site("sync_warp"), mask, nullptr, detail::no_work, Meeting::Orders::memory});
#endif
}

/// What both machines can shuffle.
template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

/// The value of lane `from`.
template <Shuffled T>
SCRAWL_DEVICE T shuffle(T value, int from, std::uint32_t mask = all_lanes,
                        [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return __shfl_sync(mask, value, from);
#else
  return detail::shuffle_from(from, value, mask, place.site("shuffle"));
#endif
}

/// The value of the lane whose number differs in the bits of `bits`.
template <Shuffled T>
SCRAWL_DEVICE T shuffle_xor(T value, int bits, std::uint32_t mask = all_lanes,
                            [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return __shfl_xor_sync(mask, value, bits);
#else
  return detail::shuffle_from(lane_index() ^ bits, value, mask, place.site("shuffle_xor"));
#endif
}

/// The value of the lane `distance` before; the first lanes keep their own.
template <Shuffled T>
SCRAWL_DEVICE T shuffle_up(T value, int distance, std::uint32_t mask = all_lanes,
                           [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return __shfl_up_sync(mask, value, distance);
#else
  const int from = lane_index() - distance;
  return detail::shuffle_from(from < 0 ? lane_index() : from, value, mask, place.site("shuffle_up"));
#endif
}

/// The value of the lane `distance` behind; the last lanes keep their own.
template <Shuffled T>
SCRAWL_DEVICE T shuffle_down(T value, int distance, std::uint32_t mask = all_lanes,
                             [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return __shfl_down_sync(mask, value, distance);
#else
  const int from = lane_index() + distance;
  return detail::shuffle_from(from >= warp_size ? lane_index() : from, value, mask,
                              place.site("shuffle_down"));
#endif
}

/// Bit i says whether lane i of the mask had `value`.
SCRAWL_DEVICE std::uint32_t ballot(bool value, std::uint32_t mask = all_lanes,
                                   [[maybe_unused]] Place place = Place::here()) {
#ifdef __CUDACC__
  return __ballot_sync(mask, value);
#else
  detail::Vote vote{value, value ? 1u << lane_index() : 0u};
  meet({place.site("ballot"), mask, &vote, detail::Vote::work});
  return vote.result;
#endif
}

/// `combine` over all lanes of the warp, in one fixed order; every lane gets the result. combine must
/// commute: then all lanes have the same bits.
template <class T, class Combine>
SCRAWL_DEVICE T reduce_warp(T value, Combine combine, Place place = Place::here()) {
#pragma unroll
  for (int bits = warp_size / 2; bits > 0; bits /= 2)
    value = combine(value, shuffle_xor(value, bits, all_lanes, place));
  return value;
}

/// combine over the lanes up to and including the own one.
template <class T, class Combine>
SCRAWL_DEVICE T scan_warp(T value, Combine combine, Place place = Place::here()) {
#pragma unroll
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const T before = shuffle_up(value, distance, all_lanes, place);
    if (lane_index() >= distance) value = combine(before, value);
  }
  return value;
}

}  // namespace SCRAWL_CUDA
