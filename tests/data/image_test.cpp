#include "runtime/io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <climits>
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

/// A BMP file of 24 bits a pixel, rows padded already; a negative height means that the top row comes first.
std::string bmp_bytes(int width, int height, std::string_view rows) {
  const auto little = [](int value) {
    std::string bytes;
    for (const int shift : {0, 8, 16, 24})
      bytes += static_cast<char>(static_cast<std::uint32_t>(value) >> shift);
    return bytes;
  };
  std::string file = "BM" + little(54 + static_cast<int>(rows.size())) + little(0) + little(54);
  file += little(40) + little(width) + little(height) + std::string("\1\0\x18\0", 4);
  for (int field = 0; field < 6; ++field) file += little(0);
  return file.append(rows);
}

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
  const std::string bmp = bmp_bytes(1, 1, std::string_view("\1\2\3\0", 4));  // blue, green, red
  EXPECT_THAT(decode_image(bytes_of(bmp), Channels::stored, "x").pixels, ElementsAre(3, 2, 1));
}

TEST(image, a_bmp_may_hold_its_top_row_first) {
  const TemporaryFolder folder;
  constexpr std::string_view rows("\1\1\1\0\2\2\2\0", 8);
  for (const int height : {2, -2}) {
    testing::write_text(folder / "a.bmp", bmp_bytes(1, height, rows));
    EXPECT_EQ(read_image_size(folder / "a.bmp").height, 2);
    const Image image = read_image(folder / "a.bmp", Channels::gray);
    EXPECT_EQ(image.height, 2);
    EXPECT_EQ(image.pixels[0], height < 0 ? 1 : 2);
  }
}

TEST(image, sides_are_positive_and_bounded) {
  const TemporaryFolder folder;
  for (const auto& [width, height, cause] :
       {std::tuple(0, 3, "got 0x3"), {3, 0, "got 3x0"}, {-3, 3, "got -3x3"}, {1, INT_MIN, "got 1x"}}) {
    const std::string bmp = bmp_bytes(width, height, std::string(64, '\0'));
    testing::write_text(folder / "a.bmp", bmp);
    const auto decode = [&] { decode_image(bytes_of(bmp), Channels::gray, "a.bmp"); };
    EXPECT_THAT(message_of<DataError>(decode),
                AllOf(HasSubstr("a.bmp: expected sides of"), HasSubstr(cause)));
    const auto size = [&] { read_image_size(folder / "a.bmp"); };
    EXPECT_THAT(message_of<DataError>(size), AllOf(HasSubstr("a.bmp: expected sides of"), HasSubstr(cause)));
  }
}

TEST(image, other_formats_are_refused_by_their_first_bytes) {
  const TemporaryFolder folder;
  // A Targa file has no magic: its header is that of a gray image of 2x2, whose pixels follow.
  const std::string tga("\0\0\3\0\0\0\0\0\0\0\0\0\2\0\2\0\x08\0\0\0\0\0", 22);
  const std::string gif("GIF89a\1\0\1\0\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;", 35);
  const std::string ppm("P6 1 1 255\n\1\2\3");
  for (const auto& [bytes, begin] :
       {std::pair(tga, "00 00 03 00"), {gif, "47 49 46 38"}, {ppm, "50 36 20 31"}}) {
    const auto says_so = AllOf(HasSubstr("a.png: expected a PNG, JPEG, BMP or PGM image"), HasSubstr(begin));
    const auto decode = [&] { decode_image(bytes_of(bytes), Channels::gray, "a.png"); };
    EXPECT_THAT(message_of<DataError>(decode), says_so);
    testing::write_text(folder / "a.png", bytes);
    EXPECT_THAT(message_of<DataError>([&] { read_image_size(folder / "a.png"); }), says_so);
  }
  testing::write_text(folder / "empty.png", "");
  const auto size = [&] { read_image_size(folder / "empty.png"); };
  EXPECT_THAT(message_of<DataError>(size), HasSubstr("got an empty file"));
}

TEST(image, a_pipe_is_no_image_and_is_not_waited_for) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "a.png").c_str(), 0600), 0);
  const auto size = [&] { read_image_size(folder / "a.png"); };
  EXPECT_THAT(message_of<DataError>(size), HasSubstr("got a device or pipe"));
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
  EXPECT_THAT(message_of<DataError>(wide), HasSubstr("1 to 16384 pixels, got 16385x1"));
  const std::string bmp = bmp_bytes(16384, 16384, "");
  const auto huge = [&] { decode_image(bytes_of(bmp), Channels::gray, "huge.bmp"); };
  EXPECT_THAT(message_of<DataError>(huge), HasSubstr("at most 268435456 bytes"));
}

TEST(image, size_comes_from_the_header_alone) {
  const TemporaryFolder folder;
  testing::write_text(folder / "a.pgm", "P5 30 20 255\n");
  const ImageSize size = read_image_size(folder / "a.pgm");
  EXPECT_EQ(size.width, 30);
  EXPECT_EQ(size.height, 20);
  // Far behind the first bytes in a JPEG: after what a camera writes, here four segments of 50,000 bytes.
  std::string jpeg = "\xFF\xD8";
  for (int i = 0; i < 4; ++i) jpeg += "\xFF\xE1\xC3\x50" + std::string(49'998, 'x');
  jpeg += std::string("\xFF\xC0\0\x0B\x08\0\x14\0\x1E\1\1\x11\0", 13);
  testing::write_text(folder / "a.jpg", jpeg);
  const ImageSize far = read_image_size(folder / "a.jpg");
  EXPECT_EQ(far.width, 30);
  EXPECT_EQ(far.height, 20);
}

TEST(image, a_header_that_ends_early_is_a_data_error) {
  const TemporaryFolder folder;
  const std::string bmp = bmp_bytes(1, 1, "");
  testing::write_text(folder / "a.bmp", bmp.substr(0, 20));
  const auto size = [&] { read_image_size(folder / "a.bmp"); };
  EXPECT_THAT(message_of<DataError>(size), HasSubstr("a.bmp: expected a PNG, JPEG, BMP or PGM image"));
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
