#include "models/text.h"

#include <utf8proc.h>

#include <array>
#include <memory>
#include <optional>

#include "kernels/error.h"

namespace scrawl {
namespace {

constexpr std::array normalisation_names{std::string_view("none"), std::string_view("nfc"),
                                         std::string_view("nfkc")};

std::optional<std::u32string> decode(std::string_view utf8) {
  std::u32string text;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  for (auto left = static_cast<utf8proc_ssize_t>(utf8.size()); left > 0;) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t used = utf8proc_iterate(bytes, left, &code);
    if (used <= 0) return std::nullopt;
    text.push_back(static_cast<char32_t>(code));
    bytes += used;
    left -= used;
  }
  return text;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace

std::string_view name_of(Normalisation normalisation) {
  return normalisation_names[static_cast<std::size_t>(normalisation)];
}

Normalisation normalisation_named(std::string_view name) {
  for (std::size_t i = 0; i < normalisation_names.size(); ++i)
    if (normalisation_names[i] == name) return static_cast<Normalisation>(i);
  throw UsageError("normalisation: expected none, nfc or nfkc, got '{}'", name);
}

std::u32string code_points(std::string_view utf8) {
  auto text = decode(utf8);
  if (!text) throw DataError("text: expected valid UTF-8, got the bytes '{}'", utf8);
  return *std::move(text);
}

std::string to_utf8(std::u32string_view text) {
  std::string utf8;
  for (const char32_t c : text) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
    utf8.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return utf8;
}

std::u32string normalise(std::string_view utf8, Normalisation normalisation) {
  if (normalisation == Normalisation::none) return code_points(utf8);
  const auto compatibility = normalisation == Normalisation::nfkc ? UTF8PROC_COMPAT : 0;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()), static_cast<utf8proc_ssize_t>(utf8.size()),
      &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | compatibility));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(mapped, std::free);
  if (length < 0) throw DataError("text: expected valid UTF-8, got the bytes '{}'", utf8);
  return code_points({reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length)});
}

bool is_utf8(std::string_view utf8) { return decode(utf8).has_value(); }

std::vector<std::u32string> words(std::u32string_view text) {
  std::vector<std::u32string> found;
  bool inside = false;
  for (const char32_t c : text) {
    if (is_space(c)) {
      inside = false;
      continue;
    }
    if (!inside) found.emplace_back();
    found.back().push_back(c);
    inside = true;
  }
  return found;
}

}  // namespace scrawl
