#include "models/data/synth/text_source.h"

#include <utf8proc.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "kernels/error.h"
#include "models/data/split.h"
#include "models/text.h"
#include "runtime/io/file.h"

namespace scrawl::synth {
namespace {

constexpr std::u32string_view digits = U"0123456789";
constexpr std::u32string_view marks_after = U".,!?;:";
constexpr std::array<std::u32string_view, 2> marks_around{U"()", U"''"};
constexpr std::size_t max_digits = 4;

struct PackagedList {
  std::string_view file, package;
};
const std::map<std::string, PackagedList> packaged_lists{
    {"english", {"/usr/share/dict/american-english", "wamerican"}},
    {"german", {"/usr/share/dict/ngerman", "wngerman"}},
    {"french", {"/usr/share/dict/french", "wfrench"}},
};

char32_t lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

std::u32string lower(std::u32string text) {
  std::ranges::transform(text, text.begin(), [](char32_t c) { return lower(c); });
  return text;
}

std::u32string upper(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (c == U'ß')
      out += U"SS";  // as German spells it; the capital ß is rare, and in few fonts
    else
      out += static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
  }
  return out;
}

std::u32string capitalised(std::u32string_view text) {
  return upper(text.substr(0, 1)) + lower(std::u32string(text.substr(1)));
}

bool is_control(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_CC;
}

/// The lines of a list under normalisation NFC, the ends of DOS lines cut off.
std::vector<std::u32string> read_lines(const std::string& list) {
  std::filesystem::path path = list;
  if (const auto packaged = packaged_lists.find(list); packaged != packaged_lists.end()) {
    path = packaged->second.file;
    if (!std::filesystem::exists(path))
      throw DataError("synth: the {} word list {} is not there: install the package {}", list, path.string(),
                      packaged->second.package);
  }
  const auto bytes = read_file(path);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_utf8(rest)) throw DataError("{}: expected UTF-8, got something else", path.string());

  std::vector<std::u32string> lines;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(normalise(line, Normalisation::nfc));
  }
  return lines;
}

void check(const TextOptions& o) {
  const auto share = [](const char* key, double value) {
    if (!(value >= 0 && value <= 1)) throw UsageError("synth: {}: expected 0 to 1, got {}", key, value);
  };
  const auto range = [](const char* low_key, int low, const char* high_key, int high) {
    if (low < 1 || high < low)
      throw UsageError("synth: expected 1 <= {} <= {}, got {} and {}", low_key, high_key, low, high);
  };
  range("min_length", o.min_length, "max_length", o.max_length);
  range("min_words", o.min_words, "max_words", o.max_words);
  share("numbers", o.numbers);
  share("punctuation", o.punctuation);
  share("val_words + test_words", o.val_words + o.test_words);
  share("val_words", o.val_words);
  share("test_words", o.test_words);
  const double least = std::min({o.lower, o.capitalised, o.upper, o.as_listed});
  if (!(least >= 0) || o.lower + o.capitalised + o.upper + o.as_listed <= 0)
    throw UsageError("synth: expected weights of lower, capitalised, upper and as_listed >= 0 and one > 0");
  if (o.lists.empty()) throw UsageError("synth: expected a word list, got none");
}

}  // namespace

TextSource::TextSource(const TextOptions& options) : options_(options) {
  check(options_);
  const std::u32string allowed = lower(normalise(options_.characters, Normalisation::nfc));
  const auto usable = [&](const std::u32string& word) {
    const auto length = static_cast<int>(word.size());
    return length >= options_.min_length && length <= options_.max_length &&
           std::ranges::none_of(word, [&](char32_t c) {
             return is_control(c) || (!allowed.empty() && allowed.find(lower(c)) == std::u32string::npos);
           });
  };
  for (const std::string& list : options_.lists)
    for (std::u32string& word : read_lines(list))
      if (usable(word)) words_[static_cast<std::size_t>(pool_of(word))].push_back(std::move(word));
}

Pool TextSource::pool_of(std::u32string_view word) const {
  const double hash = stable_hash01(to_utf8(lower(std::u32string(word))));
  if (hash < options_.test_words) return Pool::test;
  return hash < options_.test_words + options_.val_words ? Pool::val : Pool::train;
}

std::u32string TextSource::number(Pool pool, Draws& draws) const {
  const std::size_t longest = std::min(max_digits, static_cast<std::size_t>(options_.max_length));
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::u32string number(1 + draws.below(longest), U'0');
    for (char32_t& digit : number) digit = digits[draws.below(digits.size())];
    if (pool_of(number) == pool) return number;
  }
  return {};  // of ten digits, a small pool may have none
}

std::u32string TextSource::word(Pool pool, Draws& draws) const {
  std::u32string word;
  if (draws.chance(options_.numbers)) word = number(pool, draws);
  if (word.empty()) {
    const auto& words = words_[static_cast<std::size_t>(pool)];
    word = words[draws.below(words.size())];
    const auto& o = options_;
    double at = draws.uniform() * (o.lower + o.capitalised + o.upper + o.as_listed);
    if ((at -= o.lower) < 0)
      word = lower(std::move(word));
    else if ((at -= o.capitalised) < 0)
      word = capitalised(word);
    else if ((at -= o.upper) < 0)
      word = upper(word);
  }
  if (!draws.chance(options_.punctuation)) return word;
  const std::size_t mark = draws.below(marks_after.size() + marks_around.size());
  if (mark < marks_after.size()) return word + marks_after[mark];
  const std::u32string_view pair = marks_around[mark - marks_after.size()];
  return pair[0] + word + pair[1];
}

std::u32string TextSource::text(Pool pool, Draws& draws) const {
  const auto span = static_cast<std::size_t>(options_.max_words - options_.min_words);
  const std::size_t count = static_cast<std::size_t>(options_.min_words) + draws.below(span + 1);
  std::u32string text = word(pool, draws);
  for (std::size_t i = 1; i < count; ++i) text += U' ' + word(pool, draws);
  return text;
}

std::u32string TextSource::characters() const {
  std::set<char32_t> all{U' '};
  const auto add = [&](std::u32string_view text) { all.insert(text.begin(), text.end()); };
  for (const auto& words : words_)
    for (const std::u32string& word : words) {
      add(word);
      add(lower(word));
      add(upper(word));
    }
  add(digits);
  add(marks_after);
  for (const std::u32string_view pair : marks_around) add(pair);
  return {all.begin(), all.end()};
}

}  // namespace scrawl::synth
