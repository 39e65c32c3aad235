#pragma once
/// The order in which training visits samples: a function of seed and epoch, so that any position can be
/// resumed.

#include <cstdint>
#include <span>
#include <vector>

namespace scrawl {

/// A permutation of 0 .. n-1 (Fisher-Yates).
std::vector<std::uint32_t> epoch_order(std::size_t n, std::uint64_t seed, std::int64_t epoch);

/// An epoch in which class c has a share proportional to count_c^(1 - power): power 0 leaves the classes as
/// they are, 1 makes them equally frequent. Length: class_of.size(). A class smaller than its share repeats
/// its samples evenly, one that is larger is sampled without replacement, anew each epoch. `class_of` has the
/// class
/// (>= 0) of each sample. Throws UsageError for a power outside [0, 1].
std::vector<std::uint32_t> balanced_epoch_order(std::span<const std::int32_t> class_of, double power,
                                                std::uint64_t seed, std::int64_t epoch);

}  // namespace scrawl
