#pragma once
/// Which handwriting fonts there are: fonts.toml, and what of it this machine has.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace scrawl::synth {

enum class FontUse : std::uint8_t {
  train,     ///< for the splits train, val and test
  held_out,  ///< for the split test-fonts alone
};

/// Whether the letters of a word are joined: moving them apart would break the stroke.
enum class Hand : std::uint8_t { print, cursive };

struct FontEntry {
  std::string file;     ///< name of the font file, without a folder
  std::string package;  ///< Debian package that has it
  std::string licence;
  FontUse use = FontUse::train;
  Hand hand = Hand::print;
  std::string unfit;  ///< characters, UTF-8, that the font has but draws wrongly or not as handwriting

  std::string name() const { return std::filesystem::path(file).stem().string(); }
};

/// The entries of a font table; `name` is what errors call it. Throws DataError naming the entry and the key.
std::vector<FontEntry> parse_font_table(std::string_view toml, std::string_view name);

/// The table that scrawl ships with.
std::vector<FontEntry> shipped_font_table();

struct FoundFont {
  FontEntry entry;
  std::filesystem::path file;
};

struct FontSearch {
  std::vector<FoundFont> found;    ///< in the order of the table
  std::vector<FontEntry> missing;  ///< in the order of the table
};

/// Looks for the entries' files, by name, in `folders` and everything below. A folder that does not exist
/// holds nothing. Of files with the same name the one in the earlier folder, then by path, is taken.
FontSearch find_fonts(const std::vector<FontEntry>&, const std::vector<std::filesystem::path>& folders);

/// "fonts-a fonts-b": the packages to install for `missing`, each once.
std::string packages_of(const std::vector<FontEntry>& missing);

}  // namespace scrawl::synth
