#include "runtime/io/image.h"

#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

struct Header {
  ImageSize size;
  int channels = 0;  // as stored: 2 and 4 carry transparency
};

void check_limits(const Header& header, std::string_view name) {
  const auto [width, height] = header.size;
  if (std::min(width, height) < 1 || std::max(width, height) > max_image_side)
    throw DataError("{}: expected sides of 1 to {} pixels, got {}x{}", name, max_image_side, width, height);
  const std::size_t bytes = static_cast<std::size_t>(width) * height * header.channels;
  if (bytes > max_decoded_bytes)
    throw DataError("{}: expected at most {} bytes once decoded, got {}x{}x{}", name, max_decoded_bytes,
                    width, height, header.channels);
}

/// The header as stb_image reports it, but of a positive height: a BMP whose top row comes first has a
/// negative one.
Header checked(Header header, std::string_view name) {
  int& height = header.size.height;
  height = height == INT_MIN ? INT_MAX : std::abs(height);
  check_limits(header, name);
  return header;
}

// No image within the limits is larger on disk than twice its pixels and a header.
constexpr std::uint64_t max_file_bytes = 2 * max_decoded_bytes;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::uint8_t gray_of(int r, int g, int b) {
  return static_cast<std::uint8_t>((299 * r + 587 * g + 114 * b + 500) / 1000);
}

/// Drops the last channel of gray+alpha or RGBA, showing the ink on white paper.
Image composite_on_white(const stbi_uc* pixels, const Header& header) {
  const int colours = header.channels - 1;
  Image image = make_image(header.size.width, header.size.height, colours);
  std::uint8_t* out = image.pixels.data();
  for (const stbi_uc* in = pixels; out < image.pixels.data() + image.pixels.size(); in += header.channels)
    for (int c = 0; c < colours; ++c) {
      const int alpha = in[colours];
      *out++ = static_cast<std::uint8_t>((in[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  return image;
}

}  // namespace

Image make_image(int width, int height, int channels, std::uint8_t value) {
  return {width, height, channels,
          std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * channels, value)};
}

Image decode_image(std::span<const std::byte> file, Channels channels, std::string_view name) {
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const int length = static_cast<int>(file.size());
  Header header;
  if (!stbi_info_from_memory(bytes, length, &header.size.width, &header.size.height, &header.channels))
    throw DataError("{}: expected a PNG, JPEG, BMP or PGM image: {}", name, stbi_failure_reason());
  checked(header, name);

  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes, length, &header.size.width, &header.size.height, &header.channels, 0),
      stbi_image_free);
  if (!pixels) throw DataError("{}: cannot decode the image: {}", name, stbi_failure_reason());
  check_limits(header, name);

  const bool transparent = header.channels == 2 || header.channels == 4;
  Image image = transparent ? composite_on_white(pixels.get(), header)
                            : make_image(header.size.width, header.size.height, header.channels);
  if (!transparent) std::copy_n(pixels.get(), image.pixels.size(), image.pixels.data());
  switch (channels) {
    case Channels::gray:
      return to_gray(std::move(image));
    case Channels::rgb:
      return to_rgb(std::move(image));
    case Channels::stored:
      break;
  }
  return image;
}

Image read_image(const std::filesystem::path& path, Channels channels) {
  return decode_image(read_file(path, max_file_bytes), channels, path.string());
}

ImageSize read_image_size(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file) throw DataError("{}: cannot open: {}", path.string(), std::strerror(errno));
  Header header;
  if (!stbi_info_from_file(file.get(), &header.size.width, &header.size.height, &header.channels))
    throw DataError("{}: expected a PNG, JPEG, BMP or PGM image: {}", path.string(), stbi_failure_reason());
  return checked(header, path.string()).size;
}

Image to_gray(Image image) {
  if (image.channels == 1) return image;
  Image gray = make_image(image.width, image.height, 1);
  const std::uint8_t* in = image.pixels.data();
  for (std::uint8_t& value : gray.pixels) {
    value = gray_of(in[0], in[1], in[2]);
    in += 3;
  }
  return gray;
}

Image to_rgb(Image image) {
  if (image.channels == 3) return image;
  Image rgb = make_image(image.width, image.height, 3);
  std::uint8_t* out = rgb.pixels.data();
  for (const std::uint8_t value : image.pixels) out = std::fill_n(out, 3, value);
  return rgb;
}

std::vector<std::byte> encode_png(const Image& image) {
  std::vector<std::byte> png;
  const auto append = [](void* out, void* data, int size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(out)->insert(static_cast<std::vector<std::byte>*>(out)->end(), bytes,
                                                      bytes + size);
  };
  if (!stbi_write_png_to_func(append, &png, image.width, image.height, image.channels, image.pixels.data(),
                              image.width * image.channels))
    throw MemoryError("image: cannot encode {}x{}x{} as PNG", image.width, image.height, image.channels);
  return png;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  write_file_atomically(path, encode_png(image));
}

}  // namespace scrawl
