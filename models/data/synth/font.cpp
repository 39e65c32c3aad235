#include "models/data/synth/font.h"

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H
#include <hb-ot.h>
#include <hb.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "kernels/error.h"
#include "models/text.h"

namespace scrawl::synth {
namespace {

template <auto kDestroy>
struct Destroy {
  void operator()(auto* object) const { kDestroy(object); }
};
using Library = std::unique_ptr<FT_LibraryRec_, Destroy<FT_Done_FreeType>>;
using Face = std::unique_ptr<FT_FaceRec_, Destroy<FT_Done_Face>>;
using HbBlob = std::unique_ptr<hb_blob_t, Destroy<hb_blob_destroy>>;
using HbFace = std::unique_ptr<hb_face_t, Destroy<hb_face_destroy>>;
using HbFont = std::unique_ptr<hb_font_t, Destroy<hb_font_destroy>>;
using HbBuffer = std::unique_ptr<hb_buffer_t, Destroy<hb_buffer_destroy>>;

constexpr std::u32string_view letters = U"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Twice the signed area, and the length, of the polygons through an outline's points. Control points count
/// as corners: a few per cent too long, which a mean stroke width can bear.
struct Polygon {
  float twice_area = 0;
  float length = 0;
};

Polygon measure_polygons(const Outline& outline) {
  Polygon sum;
  std::size_t begin = 0;
  for (const short last : outline.contour_ends) {
    const auto end = static_cast<std::size_t>(last) + 1;
    for (std::size_t i = begin; i < end; ++i) {
      const Point a = outline.points[i], b = outline.points[i + 1 < end ? i + 1 : begin];
      sum.twice_area += a.x * b.y - b.x * a.y;
      sum.length += std::hypot(b.x - a.x, b.y - a.y);
    }
    begin = end;
  }
  return sum;
}

}  // namespace

struct Font::Faces {
  Library library;
  Face face;
  HbFont shaper;
  float em = 1;  // font units
};

Font::Font(FontEntry entry, const std::filesystem::path& file)
    : entry_(std::move(entry)), unfit_(code_points(entry_.unfit)), faces_(std::make_unique<Faces>()) {
  const auto check = [&](int error, const char* what) {
    if (error) throw DataError("{}: {}: FreeType error {}", file.string(), what, error);
  };
  FT_Library library = nullptr;
  check(FT_Init_FreeType(&library), "cannot start FreeType");
  faces_->library.reset(library);
  FT_Face face = nullptr;
  check(FT_New_Face(library, file.c_str(), 0, &face), "cannot open the font");
  faces_->face.reset(face);
  if (!FT_IS_SCALABLE(face))
    throw DataError("{}: expected a font of outlines, got one of bitmaps", file.string());
  faces_->em = static_cast<float>(face->units_per_EM);

  const HbBlob blob(hb_blob_create_from_file_or_fail(file.c_str()));
  if (!blob) throw DataError("{}: HarfBuzz cannot read the font", file.string());
  const HbFace shaper_face(hb_face_create(blob.get(), 0));
  faces_->shaper.reset(hb_font_create(shaper_face.get()));
  hb_font_make_immutable(faces_->shaper.get());
  measure();
}

Font::~Font() = default;

void Font::measure() {
  const auto drawn = [this](char32_t letter) -> const Outline& {
    hb_codepoint_t glyph = 0;
    hb_font_get_nominal_glyph(faces_->shaper.get(), letter, &glyph);
    return outline(glyph);
  };
  const auto top = [&](char32_t letter) {
    return std::ranges::max_element(drawn(letter).points, {}, &Point::y)->y;
  };
  Polygon sum;
  for (const char32_t letter : letters) {
    if (!draws(letter)) continue;
    const Polygon polygon = measure_polygons(drawn(letter));
    sum.twice_area += std::abs(polygon.twice_area);
    sum.length += polygon.length;
  }
  if (!draws(U'X') || sum.length == 0) throw DataError("{}: expected Latin letters, got none", entry_.file);
  // A stroke of length L and width w, L >> w, has area L w and perimeter 2 L.
  stroke_ = sum.twice_area / sum.length;
  x_height_ = draws(U'x') ? top(U'x') : 0.7f * top(U'X');
}

bool Font::draws(char32_t character) const {
  if (unfit_.find(character) != std::u32string::npos) return false;
  hb_codepoint_t glyph = 0;
  if (!hb_font_get_nominal_glyph(faces_->shaper.get(), character, &glyph) || glyph == 0) return false;
  return character == U' ' || !outline(glyph).points.empty();
}

std::vector<PlacedGlyph> Font::shape(std::u32string_view text) const {
  const HbBuffer buffer(hb_buffer_create());
  hb_buffer_add_utf32(buffer.get(), reinterpret_cast<const std::uint32_t*>(text.data()),
                      static_cast<int>(text.size()), 0, static_cast<int>(text.size()));
  hb_buffer_set_direction(buffer.get(), HB_DIRECTION_LTR);
  hb_buffer_set_language(buffer.get(), hb_language_from_string("und", -1));  // the locale must not matter
  hb_buffer_guess_segment_properties(buffer.get());
  hb_shape(faces_->shaper.get(), buffer.get(), nullptr, 0);

  unsigned count = 0;
  const hb_glyph_info_t* infos = hb_buffer_get_glyph_infos(buffer.get(), &count);
  const hb_glyph_position_t* positions = hb_buffer_get_glyph_positions(buffer.get(), &count);
  std::vector<PlacedGlyph> glyphs;
  glyphs.reserve(count);
  const float unit = 1.0f / faces_->em;
  float x = 0;
  for (unsigned i = 0; i < count; ++i) {
    const auto& at = positions[i];
    glyphs.push_back(
        {.glyph = infos[i].codepoint,
         .cluster = infos[i].cluster,
         .origin = {x + static_cast<float>(at.x_offset) * unit, static_cast<float>(at.y_offset) * unit}});
    x += static_cast<float>(at.x_advance) * unit;
  }
  return glyphs;
}

const Outline& Font::outline(std::uint32_t glyph) const {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = outlines_.find(glyph); found != outlines_.end()) return found->second;
  }
  const std::unique_lock lock(mutex_);
  const auto found = outlines_.find(glyph);
  return found != outlines_.end() ? found->second : outlines_.emplace(glyph, load(glyph)).first->second;
}

Outline Font::load(std::uint32_t glyph) const {
  FT_Face face = faces_->face.get();
  Outline outline;
  if (FT_Load_Glyph(face, glyph, FT_LOAD_NO_SCALE) != 0) return outline;  // damaged: as good as absent
  const FT_Outline& source = face->glyph->outline;
  const auto points = static_cast<std::size_t>(source.n_points);
  for (std::size_t i = 0; i < points; ++i)
    outline.points.push_back({static_cast<float>(source.points[i].x) / faces_->em,
                              static_cast<float>(source.points[i].y) / faces_->em});
  outline.tags.assign(source.tags, source.tags + points);
  outline.contour_ends.assign(source.contours, source.contours + source.n_contours);
  return outline;
}

}  // namespace scrawl::synth
