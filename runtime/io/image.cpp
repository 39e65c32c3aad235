#include "runtime/io/image.h"

#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <exception>
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

constexpr std::string_view expected_formats = "expected a PNG, JPEG, BMP or PGM image";

/// stb_image may have been built with more formats than we promise; one, Targa, has no magic, so that nearly
/// anything is an image. `begin`: the file's first bytes.
void check_format(std::span<const std::byte> begin, std::string_view name) {
  static constexpr std::array<std::string_view, 4> magics{"\x89PNG\r\n\x1a\n", "\xFF\xD8\xFF", "BM", "P5"};
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  if (std::ranges::any_of(magics, [&](std::string_view magic) { return text.starts_with(magic); })) return;
  if (text.empty()) throw DataError("{}: {}, got an empty file", name, expected_formats);
  std::string bytes;
  for (const std::byte byte : begin.first(std::min<std::size_t>(begin.size(), 4)))
    bytes += fmt::format(" {:02x}", std::to_integer<unsigned>(byte));
  throw DataError("{}: {}, got a file that begins with the bytes{}", name, expected_formats, bytes);
}

/// A file as stb_image reads one, which is C: errors wait until it has returned.
struct Reading {
  const InputFile& file;
  std::uint64_t at = 0;
  std::exception_ptr error;

  static int read(void* self, char* into, int size) {
    auto& [file, at, error] = *static_cast<Reading*>(self);
    const std::uint64_t left = file.size() - std::min(at, file.size());
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(static_cast<std::uint64_t>(size), left));
    try {
      file.read(at, std::as_writable_bytes(std::span(into, n)));
    } catch (...) {
      error = std::current_exception();
      return 0;
    }
    at += n;
    return static_cast<int>(n);
  }
  static void skip(void* self, int n) {  // backwards where n < 0
    static_cast<Reading*>(self)->at += static_cast<std::uint64_t>(n);
  }
  static int at_end(void* self) {
    const auto& reading = *static_cast<Reading*>(self);
    return reading.error || reading.at >= reading.file.size();
  }
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
  check_format(file, name);
  Header header;
  if (!stbi_info_from_memory(bytes, length, &header.size.width, &header.size.height, &header.channels))
    throw DataError("{}: {}: {}", name, expected_formats, stbi_failure_reason());
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
  const InputFile file(path);
  std::array<std::byte, 8> begin{};
  const auto known = std::span(begin).first(std::min<std::uint64_t>(begin.size(), file.size()));
  file.read(0, known);
  check_format(known, path.string());

  static constexpr stbi_io_callbacks calls{&Reading::read, &Reading::skip, &Reading::at_end};
  Reading reading{.file = file};
  Header header;
  const bool found =
      stbi_info_from_callbacks(&calls, &reading, &header.size.width, &header.size.height, &header.channels);
  if (reading.error) std::rethrow_exception(reading.error);
  if (!found) throw DataError("{}: {}: {}", path.string(), expected_formats, stbi_failure_reason());
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
