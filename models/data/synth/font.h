#pragma once
/// A font as handwriting needs it: shaped text, and outlines of glyphs in units of the em, y upwards.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/data/synth/font_table.h"

namespace scrawl::synth {

struct Point {
  float x = 0;
  float y = 0;
};

/// Closed contours of lines, quadratic and cubic curves, as FreeType's FT_Outline has them.
struct Outline {
  std::vector<Point> points;
  std::vector<char> tags;           // (points): on the curve, or what kind of control point
  std::vector<short> contour_ends;  // index of each contour's last point
};

/// A glyph and where its origin lies on a straight baseline.
struct PlacedGlyph {
  std::uint32_t glyph = 0;
  std::uint32_t cluster = 0;  ///< index of the first character that it draws; marks share their letter's
  Point origin;
};

/// Every member may be called from any thread.
class Font {
 public:
  /// Throws DataError when `file` is not a scalable font.
  Font(FontEntry, const std::filesystem::path& file);
  ~Font();

  const FontEntry& entry() const { return entry_; }
  std::string name() const { return entry_.name(); }

  /// Whether the font has a drawing of the character (a space needs none) that is fit for handwriting.
  bool draws(char32_t) const;

  /// Glyphs of a left-to-right text, ligatures and kerning applied. Source: HarfBuzz.
  std::vector<PlacedGlyph> shape(std::u32string_view text) const;

  /// The reference stays valid as long as the font.
  const Outline& outline(std::uint32_t glyph) const;

  float x_height() const { return x_height_; }  ///< of an x; of capitals only, 0.7 of their height
  float stroke() const { return stroke_; }      ///< mean width of the pen's stroke

 private:
  struct Faces;  // of FreeType and HarfBuzz

  Outline load(std::uint32_t glyph) const;
  void measure();

  FontEntry entry_;
  std::u32string unfit_;
  std::unique_ptr<Faces> faces_;
  mutable std::shared_mutex mutex_;  // guards outlines_ and FreeType's face
  mutable std::unordered_map<std::uint32_t, Outline> outlines_;
  float x_height_ = 0, stroke_ = 0;
};

}  // namespace scrawl::synth
