#include "models/data/synth/pen.h"

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/error.h"

namespace scrawl::synth {
namespace {

// Deviations at strength 1, in em, radians or parts of one; the eye's judgement on contact sheets.
constexpr float slant = 0.10f;
constexpr float max_slant = 0.35f;
constexpr float stretch = 0.08f;
constexpr float slope = 0.015f;
constexpr float max_rise = 0.2f;  // of the baseline, over the whole text
constexpr float wave = 0.025f;
constexpr float elastic = 0.012f;
constexpr float tracking = 0.025f;
constexpr float word_gap = 0.06f;
constexpr float letter_gap = 0.012f;
constexpr float letter_size = 0.04f;
constexpr float letter_turn = 0.03f;
constexpr float letter_lift = 0.014f;
constexpr float cursive_share = 0.3f;  // of the letters' own variation, where strokes must still meet
constexpr float stroke_spread = 0.2f;

constexpr float pi = std::numbers::pi_v<float>;

/// A sine over x, y or both: amplitude, wave vector and phase.
struct Wave {
  float amplitude = 0, kx = 0, ky = 0, phase = 0;
  float at(Point p) const { return amplitude * std::sin(kx * p.x + ky * p.y + phase); }
};

Wave draw_wave(float amplitude, float shortest, float longest, Draws& draws) {
  const float k = 2 * pi / draws.uniform(shortest, longest);
  const float direction = draws.uniform(0, 2 * pi);
  return {amplitude * draws.uniform(0.3f, 1.0f), k * std::cos(direction), k * std::sin(direction),
          draws.uniform(0, 2 * pi)};
}

/// What bends the line as a whole. Smooth over the size of a letter's strokes, so that moving the control
/// points of a curve moves the curve.
class LineBend {
 public:
  LineBend(float length, float strength, Draws& draws)
      : shear_(std::clamp(draws.normal() * slant * strength, -max_slant, max_slant)),
        stretch_(std::exp(draws.normal() * stretch * strength)) {
    const float steepest = max_rise * strength / std::max(length, 1.0f);
    slope_ = std::clamp(draws.normal() * slope * strength, -steepest, steepest);
    drift_ = {.amplitude = wave * strength * draws.uniform(),
              .kx = 2 * pi / draws.uniform(2.5f, 8.0f),
              .phase = draws.uniform(0, 2 * pi)};
    for (Wave& w : across_) w = draw_wave(elastic * strength, 0.7f, 1.8f, draws);
    for (Wave& w : along_) w = draw_wave(elastic * strength, 0.7f, 1.8f, draws);
  }

  Point operator()(Point p) const {
    const float dx = across_[0].at(p) + across_[1].at(p);
    const float dy = along_[0].at(p) + along_[1].at(p) + drift_.at(p) + slope_ * p.x;
    return {stretch_ * (p.x + dx + shear_ * p.y), p.y + dy};
  }

 private:
  float shear_, stretch_, slope_ = 0;
  Wave drift_;
  std::array<Wave, 2> across_, along_;
};

/// How one letter differs from the font's.
struct LetterBend {
  float scale = 1, cosine = 1, sine = 0, lift = 0, shift = 0;

  Point operator()(Point p) const {
    return {scale * (cosine * p.x - sine * p.y) + shift, scale * (sine * p.x + cosine * p.y) + lift};
  }
};

LetterBend draw_letter(float strength, Draws& draws) {
  const float turn = draws.normal() * letter_turn * strength;
  return {.scale = std::exp(draws.normal() * letter_size * strength),
          .cosine = std::cos(turn),
          .sine = std::sin(turn),
          .lift = draws.normal() * letter_lift * strength,
          .shift = draws.normal() * letter_gap * strength};
}

struct Box {
  Point low{std::numeric_limits<float>::max(), std::numeric_limits<float>::max()};
  Point high{std::numeric_limits<float>::lowest(), std::numeric_limits<float>::lowest()};

  void add(Point p) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  bool empty() const { return high.x < low.x; }
  float width() const { return high.x - low.x; }
  float height() const { return high.y - low.y; }
};

/// A text as written: outlines in em, one a glyph with ink, and the box around all their points.
struct Writing {
  std::vector<const Outline*> sources;  // tags and contours
  std::vector<std::vector<Point>> outlines;
  Box box;
};

Writing bend(std::u32string_view text, const Font& font, float strength, Draws& draws) {
  const std::vector<PlacedGlyph> glyphs = font.shape(text);
  const bool joined = font.entry().hand == Hand::cursive;
  const float own = joined ? cursive_share * strength : strength;
  const float spacing = joined ? 0.0f : draws.normal() * tracking * strength;
  const LineBend line(glyphs.empty() ? 0.0f : glyphs.back().origin.x, strength, draws);

  Writing writing;
  float pen = 0;  // how far letters have been moved apart so far
  LetterBend letter;
  for (std::size_t i = 0; i < glyphs.size(); ++i) {
    const PlacedGlyph& glyph = glyphs[i];
    if (i == 0 || glyph.cluster != glyphs[i - 1].cluster) {
      letter = draw_letter(own, draws);
      pen += spacing;
      if (text[glyph.cluster] == U' ') pen += std::abs(draws.normal()) * word_gap * strength;
    }
    const Outline& source = font.outline(glyph.glyph);
    if (source.points.empty()) continue;
    std::vector<Point> points;
    points.reserve(source.points.size());
    for (const Point& p : source.points) {
      const Point moved = letter(p);
      points.push_back(line({moved.x + glyph.origin.x + pen, moved.y + glyph.origin.y}));
      writing.box.add(points.back());
    }
    writing.sources.push_back(&source);
    writing.outlines.push_back(std::move(points));
  }
  return writing;
}

/// From em to pixels, y upwards.
struct Placement {
  float sx = 1, sy = 1, x = 0, y = 0;
};

Placement place(const Writing& writing, const Font& font, ImageSize size, Draws& draws) {
  const float margin = static_cast<float>(size.height) / 16;
  const float width = std::max(static_cast<float>(size.width) - 2 * margin, 1.0f);
  const float height = std::max(static_cast<float>(size.height) - 2 * margin, 1.0f);

  // "no" has neither ascender nor descender: filling the height with it would make it look huge, yet images
  // cut out by the ink do that. Anything between the two happens.
  constexpr float usual = 2.4f;  // height of a word with both, in x-heights
  const float full = std::max(writing.box.height(), usual * font.x_height());
  const float reference = std::lerp(writing.box.height(), full, draws.uniform(0.3f, 1.0f));
  constexpr float narrowest = 0.72f;  // as far as long words are squeezed before they get smaller
  const float shrink = draws.uniform(0.82f, 1.0f);
  const float box_width = std::max(writing.box.width(), 1e-3f);
  const float sx = std::min(height / reference, width / box_width);
  const float sy = std::min(height / reference, sx / narrowest);

  Placement at{.sx = sx * shrink, .sy = sy * shrink};
  at.x = margin + draws.uniform() * (width - at.sx * writing.box.width()) - at.sx * writing.box.low.x;
  at.y = margin + draws.uniform() * (height - at.sy * writing.box.height()) - at.sy * writing.box.low.y;
  return at;
}

/// By how many pixels to widen the stroke. People write with pens, so hairlines get wider and brushes
/// thinner, to within these parts of the x-height; the rest is chance.
float widening(const Font& font, const Placement& at, float strength, Draws& draws) {
  constexpr float thinnest = 0.11f, thickest = 0.19f;
  constexpr float faintest = 1.0f;  // pixels
  const float x_height = at.sy * font.x_height();
  const float natural = font.stroke() * std::sqrt(at.sx * at.sy);
  const float least = std::clamp(faintest, thinnest * x_height, thickest * x_height);
  const float wanted =
      std::clamp(natural, least, thickest * x_height) * std::exp(draws.normal() * stroke_spread * strength);
  return std::max(wanted - natural, -0.35f * natural);  // thinner would break strokes apart
}

/// One library a thread: FreeType's rasteriser is not to be shared.
FT_Library rasteriser() {
  struct Owner {
    FT_Library library = nullptr;
    Owner() {
      if (FT_Init_FreeType(&library) != 0) throw MemoryError("synth: cannot start FreeType");
    }
    ~Owner() { FT_Done_FreeType(library); }
  };
  thread_local const Owner owner;
  return owner.library;
}

/// Adds the spans of one glyph; where strokes cross, ink covers the union.
void add_spans(int y, int count, const FT_Span* spans, void* user) {
  auto& coverage = *static_cast<Coverage*>(user);
  const int row = coverage.size.height - 1 - y;
  std::uint8_t* pixels = coverage.pixels.data() + static_cast<std::size_t>(row) * coverage.size.width;
  for (int i = 0; i < count; ++i)
    for (int x = spans[i].x; x < spans[i].x + spans[i].len; ++x) {
      const unsigned a = pixels[x], b = spans[i].coverage;
      pixels[x] = static_cast<std::uint8_t>(a + b - (a * b + 127) / 255);
    }
}

void fill(const Outline& source, const std::vector<Point>& points, const Placement& at, float widen,
          Coverage& coverage) {
  constexpr float units = 64;  // FreeType's, a pixel
  std::vector<FT_Vector> vectors;
  vectors.reserve(points.size());
  for (const Point& p : points)
    vectors.push_back({std::lround(units * (at.x + at.sx * p.x - widen / 2)),
                       std::lround(units * (at.y + at.sy * p.y - widen / 2))});
  // FreeType's structure is not const-correct; only the vectors are changed.
  FT_Outline outline{.n_contours = static_cast<short>(source.contour_ends.size()),
                     .n_points = static_cast<short>(vectors.size()),
                     .points = vectors.data(),
                     .tags = const_cast<char*>(source.tags.data()),
                     .contours = const_cast<short*>(source.contour_ends.data()),
                     .flags = FT_OUTLINE_NONE};
  // Widens to the right and upwards; an outline whose contours have no clear direction stays as it is.
  FT_Outline_Embolden(&outline, std::lround(units * widen));

  FT_Raster_Params params{};
  params.flags = FT_RASTER_FLAG_AA | FT_RASTER_FLAG_DIRECT | FT_RASTER_FLAG_CLIP;
  params.gray_spans = add_spans;
  params.user = &coverage;
  params.clip_box = {0, 0, coverage.size.width, coverage.size.height};
  if (FT_Outline_Render(rasteriser(), &outline, &params) != 0)
    throw InternalError("synth: FreeType cannot fill an outline of {} points", vectors.size());
}

}  // namespace

Coverage write_text(std::u32string_view text, const Font& font, ImageSize size, float strength,
                    Draws& draws) {
  Coverage coverage{.size = size,
                    .pixels = std::vector<std::uint8_t>(static_cast<std::size_t>(size.width) * size.height)};
  const Writing writing = bend(text, font, strength, draws);
  if (writing.box.empty()) return coverage;
  const Placement at = place(writing, font, size, draws);
  const float widen = widening(font, at, strength, draws);
  coverage.x_height = at.sy * font.x_height();
  for (std::size_t i = 0; i < writing.outlines.size(); ++i)
    fill(*writing.sources[i], writing.outlines[i], at, widen, coverage);
  return coverage;
}

}  // namespace scrawl::synth
