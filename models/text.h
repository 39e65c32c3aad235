#pragma once
/// UTF-8 text as Unicode code points. Throws DataError where text is not valid UTF-8.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scrawl {

/// Unicode normalisation applied to labels before anything else; recorded with a model.
enum class Normalisation : std::uint8_t { none, nfc, nfkc };

std::string_view name_of(Normalisation);              ///< "none", "nfc", "nfkc"
Normalisation normalisation_named(std::string_view);  ///< throws UsageError for another name

std::u32string code_points(std::string_view utf8);
std::string to_utf8(std::u32string_view);
std::u32string normalise(std::string_view utf8, Normalisation);

/// Whether the bytes are valid UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view);

/// The maximal runs of code points that are not white space (space, tab, line breaks, U+00A0, U+2000-200A,
/// U+202F, U+3000).
std::vector<std::u32string> words(std::u32string_view);

}  // namespace scrawl
