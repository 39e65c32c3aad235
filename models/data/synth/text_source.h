#pragma once
/// Texts to write: words of a list, in chosen case, with numbers and punctuation among them.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/data/synth/draws.h"

namespace scrawl::synth {

/// Disjoint sets of words. A word, whatever its case, and a number belong to one by their hash alone.
enum class Pool : std::uint8_t { train, val, test };

struct TextOptions {
  /// "english", "german", "french" (word lists that Debian packages), or paths of UTF-8 files with one text a
  /// line, which is then taken as one word.
  std::vector<std::string> lists{"english"};

  int min_length = 2;   ///< code points of a word
  int max_length = 10;  ///< code points of a word, and digits of a number

  /// Words with other characters are left out. Either case of a letter stands for both; empty: all
  /// characters.
  std::string characters = "abcdefghijklmnopqrstuvwxyz";

  /// How words are written: weights, which need not sum to 1.
  double lower = 0.6;
  double capitalised = 0.4;
  double upper = 0;
  double as_listed = 0;

  double numbers = 0;      ///< share of words that are replaced with a number of 1 to 4 digits
  double punctuation = 0;  ///< share of words with a mark after, or a pair of marks around them

  int min_words = 1;  ///< words of a text, with a space between
  int max_words = 1;

  double val_words = 0.1;   ///< share of the words in Pool::val
  double test_words = 0.1;  ///< share of the words in Pool::test
};

class TextSource {
 public:
  /// Throws UsageError for options out of range, DataError for a list that cannot be read or is not UTF-8.
  explicit TextSource(const TextOptions&);

  /// A text of words of that pool, which must have some.
  std::u32string text(Pool, Draws&) const;

  std::size_t words(Pool pool) const { return words_[static_cast<std::size_t>(pool)].size(); }

  /// Every character that texts may have, ascending.
  std::u32string characters() const;

 private:
  std::u32string word(Pool, Draws&) const;
  std::u32string number(Pool, Draws&) const;
  Pool pool_of(std::u32string_view word) const;

  TextOptions options_;
  std::array<std::vector<std::u32string>, 3> words_;
};

}  // namespace scrawl::synth
