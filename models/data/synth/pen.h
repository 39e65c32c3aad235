#pragma once
/// Writing a text: the outlines of its glyphs, bent as a hand would, filled into an image.

#include <cstdint>
#include <string_view>
#include <vector>

#include "models/data/synth/draws.h"
#include "models/data/synth/font.h"
#include "runtime/io/image.h"

namespace scrawl::synth {

/// How much of each pixel is covered with ink, 0 to 255.
struct Coverage {
  ImageSize size;
  float x_height = 0;  ///< of the letters, in pixels: the scale of the writing; 0 where nothing is written
  std::vector<std::uint8_t> pixels;  // (height, width)
};

/// Writes `text`, as large as fits with margins or somewhat smaller, somewhere in an image of `size`.
///
/// Varied by `draws`, in proportion to `strength` (0: straight from the font; 1: a lively hand; 2: unruly):
/// slant, width, slope and waves of the baseline, distance of letters, size, turn and height of each letter,
/// an elastic distortion, width of the stroke. The size and place in the image always vary.
/// `font` must draw every character; a text without ink (spaces) gives an empty image.
Coverage write_text(std::u32string_view text, const Font& font, ImageSize size, float strength, Draws& draws);

}  // namespace scrawl::synth
