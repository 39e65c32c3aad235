#include "models/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using testing::bar_image;
using ::testing::Each;

struct Prepared {
  std::vector<std::uint8_t> pixels;
  int valid_width;
};

Prepared prepared(const Image& image, const Preparation& preparation) {
  std::vector<std::uint8_t> pixels(preparation.bytes(), 77);
  const int valid = prepare(image, preparation, pixels);
  return {pixels, valid};
}

Image inverted(Image image) {
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(255 - value);
  return image;
}

TEST(prepare, ink_is_high_whatever_the_paper) {
  const Preparation preparation{.height = 8, .width = 8};
  const Image dark = bar_image(8, 8, 3);
  const Prepared a = prepared(dark, preparation), b = prepared(inverted(dark), preparation);
  EXPECT_EQ(a.pixels, b.pixels);
  EXPECT_EQ(a.pixels[8 * 4 + 3], 255);
  EXPECT_EQ(a.pixels[8 * 4 + 4], 0);
}

TEST(prepare, a_set_polarity_is_believed) {
  Image mostly_ink = make_image(4, 4, 1, 0);
  mostly_ink.pixels[0] = 255;
  const Prepared a = prepared(mostly_ink, {.height = 4, .width = 4, .polarity = Polarity::dark_on_light});
  EXPECT_EQ(a.pixels[0], 0);
  EXPECT_EQ(a.pixels[1], 255);
  const Prepared b = prepared(mostly_ink, {.height = 4, .width = 4, .polarity = Polarity::light_on_dark});
  EXPECT_EQ(b.pixels, mostly_ink.pixels);
}

TEST(prepare, blank_paper_has_no_ink) {
  for (const std::uint8_t paper : {0, 255})
    EXPECT_THAT(prepared(make_image(9, 5, 1, paper), {.height = 4, .width = 4}).pixels, Each(0));
  for (const Crop crop : {Crop::none, Crop::ink})
    EXPECT_THAT(prepared(make_image(9, 5, 1, 255), {.height = 4, .width = 4, .crop = crop}).pixels, Each(0));
}

TEST(prepare, left_fit_keeps_the_aspect_ratio_and_pads_on_the_right) {
  const Preparation preparation{
      .height = 4, .width = 10, .fit = Fit::left, .polarity = Polarity::light_on_dark};
  const Prepared a = prepared(make_image(12, 8, 1, 255), preparation);
  EXPECT_EQ(a.valid_width, 6);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 10; ++x) EXPECT_EQ(a.pixels[static_cast<std::size_t>(y * 10 + x)], x < 6 ? 255 : 0);
}

TEST(prepare, an_image_too_wide_shrinks_to_the_width_and_sits_in_the_middle) {
  const Preparation preparation{
      .height = 4, .width = 10, .fit = Fit::left, .polarity = Polarity::light_on_dark};
  const Prepared a = prepared(make_image(40, 8, 1, 255), preparation);
  EXPECT_EQ(a.valid_width, 10);
  for (int y = 0; y < 4; ++y)
    EXPECT_EQ(a.pixels[static_cast<std::size_t>(y * 10)], y == 1 || y == 2 ? 255 : 0);
}

TEST(prepare, centre_fit_pads_on_all_sides_alike) {
  const Preparation preparation{.height = 6, .width = 6, .polarity = Polarity::light_on_dark};
  const Prepared a = prepared(make_image(1, 3, 1, 255), preparation);
  EXPECT_EQ(a.valid_width, 6);
  for (int x = 0; x < 6; ++x) EXPECT_EQ(a.pixels[static_cast<std::size_t>(x)], x == 2 || x == 3 ? 255 : 0);
}

TEST(prepare, stretch_fills_the_size) {
  const Preparation preparation{
      .height = 6, .width = 9, .fit = Fit::stretch, .polarity = Polarity::light_on_dark};
  EXPECT_THAT(prepared(make_image(50, 3, 1, 255), preparation).pixels, Each(255));
}

TEST(prepare, an_extreme_aspect_ratio_keeps_a_pixel) {
  const Preparation preparation{
      .height = 4, .width = 4, .fit = Fit::left, .polarity = Polarity::light_on_dark};
  EXPECT_EQ(prepared(make_image(1, 1000, 1, 255), preparation).valid_width, 1);
}

TEST(prepare, cropping_makes_position_and_paper_size_irrelevant) {
  const Preparation preparation{.height = 16, .width = 16, .crop = Crop::ink};
  Image a = make_image(40, 40, 1, 255), b = make_image(90, 60, 1, 255);
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 3; ++x) a.row(5 + y)[2 + x] = b.row(39 + y)[70 + x] = 0;
  EXPECT_EQ(prepared(a, preparation).pixels, prepared(b, preparation).pixels);
}

TEST(prepare, contrast_makes_gray_paper_white_and_faint_ink_black) {
  Image faint = make_image(8, 8, 1, 180);
  faint.row(4)[4] = 80;
  const Prepared a = prepared(faint, {.height = 8, .width = 8, .contrast = Contrast::stretch});
  EXPECT_EQ(a.pixels[4 * 8 + 4], 255);
  EXPECT_EQ(a.pixels[0], 0);
  faint.row(4)[4] = 178;  // noise stays faint
  EXPECT_LT(prepared(faint, {.height = 8, .width = 8, .contrast = Contrast::stretch}).pixels[4 * 8 + 4], 32);
}

TEST(prepare, channels_are_gray_or_colour) {
  Image red = make_image(4, 4, 3, 255);
  for (int i = 0; i < 3; ++i) red.pixels[static_cast<std::size_t>(i)] = i == 0 ? 255 : 0;
  const Prepared gray = prepared(red, {.height = 4, .width = 4});
  EXPECT_EQ(gray.pixels[0], 255 - 76);
  const Prepared colour = prepared(red, {.height = 4, .width = 4, .channels = 3});
  EXPECT_EQ(colour.pixels[0], 0);
  EXPECT_EQ(colour.pixels[1], 255);
}

TEST(prepare, json_has_the_words_of_recipes) {
  const Preparation preparation{.height = 64,
                                .width = 1024,
                                .channels = 3,
                                .fit = Fit::left,
                                .polarity = Polarity::dark_on_light,
                                .crop = Crop::ink,
                                .contrast = Contrast::stretch};
  EXPECT_EQ(
      to_json(preparation),
      nlohmann::json::parse(R"({"height": 64, "width": 1024, "channels": 3, "fit": "left", "ink": "dark",
                                      "crop": "ink", "contrast": "stretch"})"));
}

TEST(prepare, sizes_are_positive_and_channels_1_or_3) {
  EXPECT_NO_THROW(check(Preparation{}));
  for (const Preparation& bad : {Preparation{.height = 0}, {.width = -1}, {.channels = 2}})
    EXPECT_THROW(check(bad), UsageError);
}

}  // namespace
}  // namespace scrawl
