#pragma once
/// Random variations of training images that keep the label: another hand, pen or scan.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>

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

/// Throws UsageError for a negative extent, or one at which images would vanish.
void check(const Augmentation&);

/// {"rotate": 8, ...}; what is absent is 0. Throws UsageError for an unknown key or value.
Augmentation augmentation_from_json(const nlohmann::json&);
nlohmann::json to_json(const Augmentation&);

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
