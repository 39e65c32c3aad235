#include "runtime/io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "kernels/error.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::TemporaryFolder;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(image, png_round_trip_keeps_every_pixel) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    Image image = make_image(5, 3, channels);
    std::iota(image.pixels.begin(), image.pixels.end(), std::uint8_t{7});
    write_png(folder / "a.png", image);
    const Image back = read_image(folder / "a.png", Channels::stored);
    EXPECT_EQ(back.width, 5);
    EXPECT_EQ(back.height, 3);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(image, reads_pgm_and_bmp) {
  const Image pgm =
      decode_image(bytes_of(std::string_view("P5 2 1 255\n\x10\xF0", 13)), Channels::stored, "x");
  EXPECT_THAT(pgm.pixels, ElementsAre(0x10, 0xF0));
  // One blue-green-red pixel, 24 bits, bottom-up.
  const std::string_view bmp(
      "BM\x3A\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\0\0\0\0\x04\0\0\0"
      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\0",
      58);
  EXPECT_THAT(decode_image(bytes_of(bmp), Channels::stored, "x").pixels, ElementsAre(3, 2, 1));
}

TEST(image, gray_is_the_weighted_sum_of_red_green_blue) {
  Image image = make_image(4, 1, 3);
  image.pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 77, 77, 77};
  EXPECT_THAT(to_gray(image).pixels, ElementsAre(76, 150, 29, 77));
  EXPECT_THAT(to_rgb(to_gray(image)).pixels, ElementsAre(76, 76, 76, 150, 150, 150, 29, 29, 29, 77, 77, 77));
}

TEST(image, transparent_pixels_become_white_paper) {
  const TemporaryFolder folder;
  Image image = make_image(2, 1, 4);
  image.pixels = {0, 0, 0, 0, 10, 20, 30, 255};
  write_png(folder / "a.png", image);
  EXPECT_THAT(read_image(folder / "a.png", Channels::rgb).pixels, ElementsAre(255, 255, 255, 10, 20, 30));
}

TEST(image, a_missing_file_is_a_data_error_with_its_name) {
  const auto read = [] { read_image("/nowhere/a.png", Channels::gray); };
  EXPECT_THAT(message_of<DataError>(read), HasSubstr("/nowhere/a.png"));
  const auto size = [] { read_image_size("/nowhere/a.png"); };
  EXPECT_THAT(message_of<DataError>(size), HasSubstr("/nowhere/a.png"));
}

TEST(image, a_text_file_is_not_an_image) {
  const auto decode = [] { decode_image(bytes_of("hello"), Channels::gray, "notes.png"); };
  EXPECT_THAT(message_of<DataError>(decode), HasSubstr("notes.png: expected a PNG"));
}

TEST(image, a_truncated_png_is_a_data_error) {
  auto png = encode_png(make_image(64, 64, 3, 9));
  png.resize(png.size() / 2);
  const auto decode = [&] { decode_image(png, Channels::gray, "half.png"); };
  EXPECT_THAT(message_of<DataError>(decode), HasSubstr("half.png: cannot decode"));
}

TEST(image, limits_are_checked_before_decoding) {
  const auto wide = [] { decode_image(bytes_of("P5 16385 1 255\n"), Channels::gray, "wide.pgm"); };
  EXPECT_THAT(message_of<DataError>(wide), HasSubstr("at most 16384 pixels, got 16385x1"));
  const auto huge = [] { decode_image(bytes_of("P6 16384 16384 255\n"), Channels::gray, "huge.ppm"); };
  EXPECT_THAT(message_of<DataError>(huge), HasSubstr("at most 268435456 bytes"));
}

TEST(image, size_comes_from_the_header_alone) {
  const TemporaryFolder folder;
  testing::write_text(folder / "a.pgm", "P5 30 20 255\n");
  const ImageSize size = read_image_size(folder / "a.pgm");
  EXPECT_EQ(size.width, 30);
  EXPECT_EQ(size.height, 20);
}

TEST(image, resizing_keeps_flat_colour_and_mean) {
  EXPECT_THAT(resize(make_image(37, 21, 3, 200), {11, 50}).pixels, Each(200));
  // One-pixel stripes shrink to their mean: without antialiasing they would alias to black or white.
  Image stripes = make_image(64, 64, 1);
  for (std::size_t i = 0; i < stripes.pixels.size(); i += 2) stripes.pixels[i] = 255;
  const Image small = resize(stripes, {8, 8});
  for (int y = 0; y < 8; ++y)  // at the sides, half of the filter is missing
    for (int x = 1; x < 7; ++x) EXPECT_NEAR(small.row(y)[x], 127.5, 1);
}

TEST(image, enlarging_is_bilinear) {
  Image image = make_image(2, 1, 1);
  image.pixels = {0, 100};
  EXPECT_THAT(resize(image, {4, 1}).pixels, ElementsAre(0, 25, 75, 100));
}

TEST(image, shrinking_weighs_by_distance) {
  Image image = make_image(4, 1, 1);
  image.pixels = {0, 0, 0, 200};
  // Centres at 0.5 and 2.5, triangles of half width 2: weights 1/4 3/4 3/4 (1/4), the last beyond the edge.
  EXPECT_THAT(resize(image, {2, 1}).pixels, ElementsAre(0, 86));
}

TEST(image, resizing_handles_extreme_aspect_ratios) {
  for (const ImageSize from : {ImageSize{1, 1000}, {1000, 1}, {1, 1}, {7, 501}})
    for (const ImageSize to : {ImageSize{1, 1}, {3, 4}, {1, 64}, {300, 2}})
      EXPECT_THAT(resize(make_image(from.width, from.height, 1, 90), to).pixels, Each(90));
}

TEST(image, resizing_to_the_same_size_changes_nothing) {
  Image image = make_image(3, 2, 1);
  image.pixels = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(resize(image, {3, 2}).pixels, image.pixels);
}

TEST(image, a_png_that_cannot_be_written_is_a_write_error) {
  EXPECT_THROW(write_png("/nowhere/a.png", make_image(1, 1, 1)), WriteError);
}

}  // namespace
}  // namespace scrawl
