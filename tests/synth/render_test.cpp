#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "kernels/error.h"
#include "models/text.h"
#include "tests/synth/installed_fonts.h"

namespace scrawl::synth {
namespace {

constexpr ImageSize small{.width = 128, .height = 32};
constexpr Style plain{.shape = 0, .paper = 0};

class synth_render : public testing::InstalledFonts {
 protected:
  void SetUp() override {
    InstalledFonts::SetUp();
    if (IsSkipped()) return;
    for (const FoundFont& found : find_fonts(shipped_font_table(), SynthOptions().font_folders).found)
      fonts_.push_back(std::make_unique<Font>(found.entry, found.file));
  }

  const Font& font(std::string_view name) const {
    return **std::ranges::find(fonts_, name, [](const auto& f) { return f->name(); });
  }

  std::vector<std::unique_ptr<Font>> fonts_;
};

/// Sum of darkness, in black pixels.
double ink(const Image& image) {
  return std::accumulate(image.pixels.begin(), image.pixels.end(), 0.0,
                         [](double sum, std::uint8_t value) { return sum + (255 - value) / 255.0; });
}

TEST_F(synth_render, depends_on_seed_and_index_alone) {
  const Font& kaushan = font("KaushanScript-Regular");
  const auto pixels = [&](std::uint64_t seed, std::uint64_t index) {
    return render("word", kaushan, {}, seed, index, small).pixels;
  };
  EXPECT_EQ(pixels(1, 2), pixels(1, 2));
  EXPECT_NE(pixels(1, 2), pixels(1, 3));
  EXPECT_NE(pixels(1, 2), pixels(2, 2));
  EXPECT_NE(pixels(1, 2), pixels(1, 2 + (std::uint64_t{1} << 32)));
}

TEST_F(synth_render, makes_gray_images_of_any_size) {
  for (const ImageSize size : {small, ImageSize{256, 64}, ImageSize{7, 300}, ImageSize{1, 1}}) {
    const Image image = render("size", *fonts_[0], {}, 0, 0, size);
    EXPECT_EQ(image.width, size.width);
    EXPECT_EQ(image.height, size.height);
    EXPECT_EQ(image.channels, 1);
    EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(size.width) * size.height);
  }
  EXPECT_THROW(render("size", *fonts_[0], {}, 0, 0, {0, 32}), ShapeError);
}

TEST_F(synth_render, every_font_draws_dark_ink_on_light_paper_inside_the_image) {
  for (const auto& f : fonts_)
    for (const std::string text : {"NO", "HANDWRITING", "I", "QUAY"})
      for (std::uint64_t index = 0; index < 5; ++index) {
        const Image image = render(text, *f, {.shape = 1, .paper = 0}, 3, index, small);
        SCOPED_TRACE(f->name() + " " + text);
        EXPECT_GT(ink(image), 8);
        EXPECT_LT(ink(image), 0.5 * small.width * small.height);
        for (int x = 0; x < small.width; ++x) {
          EXPECT_EQ(image.row(0)[x], 255);
          EXPECT_EQ(image.row(small.height - 1)[x], 255);
        }
        for (int y = 0; y < small.height; ++y) {
          EXPECT_EQ(image.row(y)[0], 255);
          EXPECT_EQ(image.row(y)[small.width - 1], 255);
        }
      }
}

struct Drawing {
  std::size_t contours = 0;
  float bottom = 0, top = 0;  // em
};

Drawing drawing_of(const Font& font, char32_t letter) {
  Drawing drawing;
  for (const PlacedGlyph& glyph : font.shape(std::u32string(1, letter))) {
    const Outline& outline = font.outline(glyph.glyph);
    drawing.contours += outline.contour_ends.size();
    for (const Point& p : outline.points) {
      drawing.bottom = std::min(drawing.bottom, glyph.origin.y + p.y);
      drawing.top = std::max(drawing.top, glyph.origin.y + p.y);
    }
  }
  return drawing;
}

TEST_F(synth_render, accents_are_drawn_apart_from_their_letter_or_stick_out_of_it) {
  int seen = 0;
  for (const auto& f : fonts_)
    for (const auto& [accented, base] : {std::pair{U'é', U'e'},
                                         {U'à', U'a'},
                                         {U'ê', U'e'},
                                         {U'ü', U'u'},
                                         {U'ö', U'o'},
                                         {U'ç', U'c'},
                                         {U'Ä', U'A'}}) {
      if (!f->draws(accented) || !f->draws(base)) continue;
      ++seen;
      const Drawing with = drawing_of(*f, accented), without = drawing_of(*f, base);
      EXPECT_TRUE(with.contours > without.contours || with.top > without.top + 0.03f ||
                  with.bottom < without.bottom - 0.03f)
          << f->name() << ' ' << to_utf8(std::u32string(1, accented));
    }
  EXPECT_GT(seen, 80);
}

TEST_F(synth_render, german_and_french_are_in_at_least_eight_fonts_for_training) {
  for (const char32_t c : std::u32string(U"äöüÄÖÜßéèêëàâçîïôûù")) {
    const auto able = std::ranges::count_if(
        fonts_, [c](const auto& f) { return f->entry().use == FontUse::train && f->draws(c); });
    EXPECT_GE(able, 8) << to_utf8(std::u32string(1, c));
  }
}

TEST_F(synth_render, a_character_that_the_font_lacks_is_a_data_error_that_names_it) {
  try {
    render("naïve", font("Havana-Regular"), {}, 0, 0, small);
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("Havana-Regular lacks the character ï"));
  }
  // Has the glyph, but draws a capital.
  EXPECT_THROW(render("no", font("Humor-Sans"), {}, 0, 0, small), DataError);
}

TEST_F(synth_render, composed_and_decomposed_text_look_the_same) {
  const Font& comic = font("ComicNeue-Regular");
  EXPECT_EQ(render("\u00e9t\u00e9", comic, {}, 0, 0, small).pixels,
            render("e\u0301te\u0301", comic, {}, 0, 0, small).pixels);
}

TEST_F(synth_render, style_zero_is_black_on_white) {
  const Image image = render("Plain", *fonts_[0], plain, 0, 0, {512, 128});
  EXPECT_EQ(std::ranges::min(image.pixels), 0);
  EXPECT_EQ(std::ranges::max(image.pixels), 255);
}

TEST_F(synth_render, spaces_alone_leave_the_paper_blank) {
  EXPECT_EQ(ink(render("  ", *fonts_[0], plain, 0, 0, small)), 0);
}

}  // namespace
}  // namespace scrawl::synth
