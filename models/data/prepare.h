#pragma once
/// From an image of any size to the pixels that a network sees.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/io/image.h"

namespace scrawl {

/// How an image comes to the network's size.
enum class Fit : std::uint8_t {
  left,     ///< keeping the aspect ratio, at the left edge, paper to the right: words and lines
  centre,   ///< keeping the aspect ratio, paper around: characters
  stretch,  ///< each axis on its own
};

/// Whether ink is darker than paper. `automatic` decides by the median pixel, which is paper.
enum class Polarity : std::uint8_t { automatic, dark_on_light, light_on_dark };

/// `ink` cuts the image to what is written and a margin of a tenth of its longer side.
enum class Crop : std::uint8_t { none, ink };

/// `stretch` makes paper 0 and the darkest ink 255: for photographs and gray paper.
enum class Contrast : std::uint8_t { keep, stretch };

/// Their names in recipes and models.
template <class Enum>
using NamesOf = std::vector<std::pair<std::string, Enum>>;
inline const NamesOf<Fit> fit_names{{"left", Fit::left}, {"centre", Fit::centre}, {"stretch", Fit::stretch}};
inline const NamesOf<Polarity> polarity_names{
    {"auto", Polarity::automatic}, {"dark", Polarity::dark_on_light}, {"light", Polarity::light_on_dark}};
inline const NamesOf<Crop> crop_names{{"none", Crop::none}, {"ink", Crop::ink}};
inline const NamesOf<Contrast> contrast_names{{"keep", Contrast::keep}, {"stretch", Contrast::stretch}};

/// What a model's input looks like; recorded with it. The network sees ink as high values: 255 is ink, 0
/// paper.
struct Preparation {
  int height = 28;
  int width = 28;
  int channels = 1;  ///< 1 or 3
  Fit fit = Fit::centre;
  Polarity polarity = Polarity::automatic;
  Crop crop = Crop::none;
  Contrast contrast = Contrast::keep;

  std::size_t bytes() const { return static_cast<std::size_t>(height) * width * channels; }
  bool operator==(const Preparation&) const = default;
};

/// Throws UsageError unless height and width are positive and channels 1 or 3.
void check(const Preparation&);

/// As recipes say it: {"height": 28, ..., "fit": "centre", "ink": "auto", ...}.
nlohmann::json to_json(const Preparation&);

/// Columns of the prepared image that hold the picture rather than padding on the right: those of the resized
/// image under Fit::left, else all. With Crop::ink it is a guess until the image has been seen.
int valid_width(ImageSize, const Preparation&);

/// Writes the prepared image to `out`, (height, width, channels), and returns its valid width.
/// Throws ShapeError when out.size() is not preparation.bytes().
int prepare(Image, const Preparation&, std::span<std::uint8_t> out);

}  // namespace scrawl
