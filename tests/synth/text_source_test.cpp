#include "models/data/synth/text_source.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "kernels/error.h"
#include "models/text.h"
#include "tests/data/sample_files.h"

namespace scrawl::synth {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_text;

constexpr std::array pools{Pool::train, Pool::val, Pool::test};

/// A source of the words in `list`, one a line, all of them in one pool unless options say otherwise.
TextSource source_of(std::string_view list, TextOptions options) {
  const TemporaryFolder folder;
  write_text(folder / "words", list);
  options.lists = {(folder / "words").string()};
  return TextSource(options);
}

std::set<std::string> texts(const TextSource& source, Pool pool, int count = 500) {
  std::set<std::string> all;
  for (int i = 0; i < count; ++i) {
    Draws draws(1, static_cast<std::uint64_t>(i), Purpose::text);
    all.insert(to_utf8(source.text(pool, draws)));
  }
  return all;
}

const TextOptions one_pool{.val_words = 0, .test_words = 0};

TextOptions as_listed(TextOptions options = one_pool) {
  options.lower = options.capitalised = 0;
  options.as_listed = 1;
  return options;
}

std::string numbered_words(int count) {
  std::string words;
  for (int i = 0; i < count; ++i) words += fmt::format("{}{}{}\n", 'a', static_cast<char>('a' + i % 26), i);
  return words;
}

TEST(text_source, keeps_words_of_the_length_and_characters_asked_for) {
  auto options = as_listed();
  options.min_length = 2;
  options.max_length = 4;
  options.characters = "abcé";
  EXPECT_THAT(texts(source_of("a\nab\nABC\nabcd\nabcab\ncaf\ncabé\r\nca\tb\n", options), Pool::train),
              ::testing::UnorderedElementsAre("ab", "ABC", "cabé"));
}

TEST(text_source, no_characters_given_allows_all_but_control_characters) {
  auto options = as_listed();
  options.characters = "";
  EXPECT_THAT(texts(source_of("a b!\nç-é\nd\te\n", options), Pool::train),
              ::testing::UnorderedElementsAre("a b!", "ç-é"));
}

TEST(text_source, writes_each_case_by_its_share) {
  auto options = one_pool;
  options.lower = options.capitalised = options.upper = options.as_listed = 1;
  options.characters = "";
  EXPECT_THAT(texts(source_of("äuSserßt\n", options), Pool::train),
              ::testing::UnorderedElementsAre("äusserßt", "Äusserßt", "ÄUSSERSST", "äuSserßt"));
}

TEST(text_source, pools_share_no_word_whatever_its_case) {
  TextOptions options{.characters = "", .upper = 0.3, .numbers = 0.3};
  std::string names = numbered_words(2000);  // listed a second time with a capital, as "Polish" is
  for (std::size_t i = 0; i < names.size(); i = names.find('\n', i) + 1) names[i] = 'A';
  const TextSource source = source_of(numbered_words(2000) + names, options);
  std::map<std::u32string, Pool> pool_of;
  for (const Pool pool : pools) {
    EXPECT_GT(source.words(pool), 100u);
    for (const std::string& text : texts(source, pool, 3000)) {
      std::u32string word = code_points(text);
      for (char32_t& c : word)
        if (c >= U'A' && c <= U'Z') c += 32;
      EXPECT_EQ(pool_of.try_emplace(word, pool).first->second, pool) << text;
    }
  }
}

TEST(text_source, adding_words_moves_none_to_another_pool) {
  const auto options = as_listed({.characters = ""});
  const auto few = texts(source_of(numbered_words(50), options), Pool::train, 2000);
  const auto many = texts(source_of(numbered_words(100), options), Pool::train, 4000);
  EXPECT_TRUE(std::ranges::includes(many, few));
}

TEST(text_source, joins_several_words_with_spaces) {
  auto options = as_listed();
  options.min_words = 2;
  options.max_words = 3;
  EXPECT_THAT(texts(source_of("ab\n", options), Pool::train),
              ::testing::UnorderedElementsAre("ab ab", "ab ab ab"));
}

TEST(text_source, adds_punctuation_and_numbers) {
  auto options = as_listed();
  options.punctuation = 1;
  EXPECT_THAT(texts(source_of("ab\n", options), Pool::train),
              ::testing::UnorderedElementsAre("ab.", "ab,", "ab!", "ab?", "ab;", "ab:", "(ab)", "'ab'"));
  options.punctuation = 0;
  options.numbers = 1;
  for (const std::string& text : texts(source_of("ab\n", options), Pool::train))
    EXPECT_THAT(text, ::testing::MatchesRegex("[0-9]+"));
}

TEST(text_source, characters_are_all_that_texts_have) {
  TextOptions options{.characters = "", .upper = 0.3, .numbers = 0.3, .punctuation = 0.3, .max_words = 2};
  const TextSource source = source_of("straße\nçà\nÉté\n" + numbered_words(500), options);
  const std::u32string all = source.characters();
  for (const Pool pool : pools)
    for (const std::string& text : texts(source, pool))
      for (const char32_t c : code_points(text)) EXPECT_NE(all.find(c), std::u32string::npos) << text;
}

TEST(text_source, a_list_that_cannot_be_read_is_a_data_error) {
  EXPECT_THROW(TextSource({.lists = {"/nowhere/words"}}), DataError);
  EXPECT_THROW(source_of("ab\xff\n", {}), DataError);
}

TEST(text_source, options_out_of_range_are_usage_errors) {
  for (const TextOptions& options : {TextOptions{.min_length = 0},
                                     {.min_length = 5, .max_length = 4},
                                     {.lower = -1},
                                     {.lower = 0, .capitalised = 0},
                                     {.numbers = 1.5},
                                     {.min_words = 3, .max_words = 2},
                                     {.val_words = 0.6, .test_words = 0.6}})
    EXPECT_THROW(source_of("ab\n", options), UsageError);
}

}  // namespace
}  // namespace scrawl::synth
