#pragma once
/// Random variations of training images that keep the label: another hand, pen or scan.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace scrawl {

/// The extent of each variation; each parameter is drawn uniformly. All zero: images stay as they are.
struct Augmentation {
  double rotate = 0;   ///< degrees, +-
  double shear = 0;    ///< slant: horizontal shift per height, +-
  double scale = 0;    ///< each axis by 1 +- scale; a line widens by scale * height at most, to keep its ends
  double shift = 0;    ///< of the height, +-, along both axes
  double elastic = 0;  ///< of the height, +-: moves the nodes of a coarse grid, bilinear between them
  double stroke = 0;   ///< share of a 3x3 dilation (thicker) or erosion (thinner), up to 1
  double brightness = 0;  ///< ink fades by a factor of 1 - brightness .. 1

  bool operator==(const Augmentation&) const = default;
};

/// One of them by the name that recipes give it. Beyond the limit images would vanish.
struct AugmentationExtent {
  std::string_view name;
  double Augmentation::*value;
  double limit;  ///< the least is 0
};

inline constexpr std::array augmentation_extents{
    AugmentationExtent{"rotate", &Augmentation::rotate, 180},
    AugmentationExtent{"shear", &Augmentation::shear, 2},
    AugmentationExtent{"scale", &Augmentation::scale, 0.9},
    AugmentationExtent{"shift", &Augmentation::shift, 0.9},
    AugmentationExtent{"elastic", &Augmentation::elastic, 0.9},
    AugmentationExtent{"stroke", &Augmentation::stroke, 1},
    AugmentationExtent{"brightness", &Augmentation::brightness, 0.9}};

/// Throws UsageError for an extent that is negative or beyond its limit.
void check(const Augmentation&);

/// A prepared image, (height, width, channels); columns from valid_width on are padding.
struct PreparedShape {
  int height = 0, width = 0, channels = 1;
  int valid_width = 0;
};

/// Writes a variation of `in` to `out`; they must not overlap. Parameters are a function of seed and global
/// sample number. Padding stays 0. The map is sampled bilinearly, about the centre of the valid part; what
/// comes from outside is paper.
void augment(std::span<const std::uint8_t> in, const PreparedShape&, const Augmentation&, std::uint64_t seed,
             std::int64_t global_sample, std::span<std::uint8_t> out);

}  // namespace scrawl
