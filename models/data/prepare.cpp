#include "models/data/prepare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace scrawl {
namespace {

template <class Enum>
std::string name_of(const NamesOf<Enum>& names, Enum value) {
  return std::ranges::find(names, value, &NamesOf<Enum>::value_type::second)->first;
}

/// What is paper and what is ink in an image: 256 counts, read three ways.
struct Tones {
  int darkest = 255, median = 0, lightest = 0;

  explicit Tones(const std::vector<std::uint8_t>& pixels) {
    std::array<std::size_t, 256> counts{};
    for (const std::uint8_t value : pixels) ++counts[value];
    std::size_t below = 0;
    for (int value = 0; value < 256; ++value) {
      if (counts[static_cast<std::size_t>(value)] == 0) continue;
      if (below == 0) darkest = value;
      if (2 * below < pixels.size()) median = value;
      lightest = value;
      below += counts[static_cast<std::size_t>(value)];
    }
  }

  bool light_paper() const { return 2 * median > (darkest < lightest ? darkest + lightest : 255); }
};

/// Contrast below which an image is taken for blank paper, whose noise must not become ink.
constexpr int least_contrast = 32;

/// 255 is ink, 0 is paper.
void to_ink(Image& image, const Preparation& preparation) {
  const Tones tones(image.pixels);
  const bool invert = preparation.polarity == Polarity::dark_on_light ||
                      (preparation.polarity == Polarity::automatic && tones.light_paper());
  const bool stretch = preparation.contrast == Contrast::stretch;
  const int paper = stretch ? tones.median : (invert ? 255 : 0);
  const int ink = invert ? tones.darkest : tones.lightest;
  const int range = stretch ? std::max(std::abs(ink - paper), least_contrast) : 255;
  std::array<std::uint8_t, 256> map{};
  for (int value = 0; value < 256; ++value) {
    const int depth = invert ? paper - value : value - paper;
    map[static_cast<std::size_t>(value)] = static_cast<std::uint8_t>(std::clamp(depth * 255 / range, 0, 255));
  }
  for (std::uint8_t& value : image.pixels) value = map[value];
}

/// The rectangle of pixels above a quarter of the strongest ink, with a margin; all of a blank image.
Image crop_to_ink(const Image& image) {
  const int threshold = std::max(1, *std::ranges::max_element(image.pixels) / 4);
  int left = image.width, right = -1, top = image.height, bottom = -1;
  for (int y = 0; y < image.height; ++y)
    for (int i = 0; i < image.width * image.channels; ++i)
      if (image.row(y)[i] >= threshold) {
        left = std::min(left, i / image.channels);
        right = std::max(right, i / image.channels);
        top = std::min(top, y);
        bottom = y;
      }
  if (right < 0) return image;

  const int margin = (std::max(right - left, bottom - top) + 10) / 10;
  Image cut = make_image(right - left + 1 + 2 * margin, bottom - top + 1 + 2 * margin, image.channels);
  // The margin is paper even where the original has neighbours of the ink, or ends.
  for (int y = top; y <= bottom; ++y)
    std::copy_n(image.row(y) + left * image.channels, (right - left + 1) * image.channels,
                cut.row(y - top + margin) + margin * image.channels);
  return cut;
}

ImageSize fitted_size(ImageSize size, const Preparation& preparation) {
  if (preparation.fit == Fit::stretch) return {preparation.width, preparation.height};
  const double scale = std::min(static_cast<double>(preparation.width) / size.width,
                                static_cast<double>(preparation.height) / size.height);
  const auto scaled = [scale](int side, int limit) {
    return std::clamp(static_cast<int>(std::lround(side * scale)), 1, limit);
  };
  return {scaled(size.width, preparation.width), scaled(size.height, preparation.height)};
}

}  // namespace

void check(const Preparation& preparation) {
  if (preparation.height < 1 || preparation.width < 1)
    throw UsageError("input: expected a positive size, got {}x{}", preparation.height, preparation.width);
  if (preparation.channels != 1 && preparation.channels != 3)
    throw UsageError("input.channels: expected 1 or 3, got {}", preparation.channels);
}

nlohmann::json to_json(const Preparation& preparation) {
  return {{"height", preparation.height},
          {"width", preparation.width},
          {"channels", preparation.channels},
          {"fit", name_of(fit_names, preparation.fit)},
          {"ink", name_of(polarity_names, preparation.polarity)},
          {"crop", name_of(crop_names, preparation.crop)},
          {"contrast", name_of(contrast_names, preparation.contrast)}};
}

int valid_width(ImageSize size, const Preparation& preparation) {
  return preparation.fit == Fit::left ? fitted_size(size, preparation).width : preparation.width;
}

int prepare(Image image, const Preparation& preparation, std::span<std::uint8_t> out) {
  if (out.size() != preparation.bytes())
    throw ShapeError("prepare: expected {} bytes, got {}", preparation.bytes(), out.size());
  image = preparation.channels == 1 ? to_gray(std::move(image)) : to_rgb(std::move(image));
  to_ink(image, preparation);
  if (preparation.crop == Crop::ink) image = crop_to_ink(image);

  const ImageSize size{image.width, image.height};
  const ImageSize fitted = fitted_size(size, preparation);
  image = resize(std::move(image), fitted);
  const int left = preparation.fit == Fit::centre ? (preparation.width - fitted.width) / 2 : 0;
  const int top = (preparation.height - fitted.height) / 2;
  std::ranges::fill(out, std::uint8_t{0});
  for (int y = 0; y < fitted.height; ++y)
    std::copy_n(image.row(y), static_cast<std::size_t>(fitted.width) * image.channels,
                out.data() + (static_cast<std::size_t>(y + top) * preparation.width + left) * image.channels);
  return valid_width(size, preparation);
}

}  // namespace scrawl
