#pragma once
/// Images of 8 bits a channel: reading, writing, gray, resizing. PNG, JPEG, BMP and PGM through stb_image.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace scrawl {

/// Pixels in HWC order, rows from the top. 1 channel is gray, 3 are red, green, blue.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::vector<std::uint8_t> pixels;  // (height, width, channels)

  const std::uint8_t* row(int y) const {
    return pixels.data() + static_cast<std::size_t>(y) * width * channels;
  }
  std::uint8_t* row(int y) { return pixels.data() + static_cast<std::size_t>(y) * width * channels; }
};

/// An image of `value` everywhere.
Image make_image(int width, int height, int channels, std::uint8_t value = 0);

struct ImageSize {
  int width = 0;
  int height = 0;
};

/// Limits checked on the file's header, before anything is decoded.
inline constexpr int max_image_side = 16'384;
inline constexpr std::size_t max_decoded_bytes = std::size_t{256} << 20;

/// Which channels a decoded image has: as stored (gray or RGB), or converted.
enum class Channels : std::uint8_t { stored = 0, gray = 1, rgb = 3 };

/// Decodes a PNG, JPEG, BMP or PGM file held in memory; `name` is what errors call it. 16-bit samples are cut
/// to 8; transparency is composited on white paper. Throws DataError with name and cause: another format,
/// truncated, a side of 0 or over max_image_side, more than max_decoded_bytes.
Image decode_image(std::span<const std::byte> file, Channels, std::string_view name);

/// decode_image of a file. Throws DataError when it cannot be read.
Image read_image(const std::filesystem::path&, Channels);

/// Width and height from the file's header alone, under the same limits and errors as decoding.
ImageSize read_image_size(const std::filesystem::path&);

/// gray = 0.299 R + 0.587 G + 0.114 B, rounded; a gray image comes back unchanged.
Image to_gray(Image);

/// Three equal channels of a gray image; an RGB image comes back unchanged.
Image to_rgb(Image);

/// Resamples with a triangle filter, widened by the factor of shrinking: bilinear when enlarging, antialiased
/// when shrinking. Beyond the edges there is nothing: the weights within are scaled to sum to 1. Sizes must
/// be positive.
Image resize(Image, ImageSize);

/// The bytes of a PNG file.
std::vector<std::byte> encode_png(const Image&);

/// Replaces the file in one step. Throws WriteError.
void write_png(const std::filesystem::path&, const Image&);

}  // namespace scrawl
