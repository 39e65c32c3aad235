#include "models/alphabet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::message_of;

const std::vector<std::string> words_of_test{"añb", "ba", "Öl"};

TEST(text, decoding_refuses_what_is_not_utf8) {
  for (const char* bad : {"\xC3", "\x80", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_THROW(code_points(bad), DataError);
    EXPECT_THROW(normalise(bad, Normalisation::nfc), DataError);
  }
  EXPECT_EQ(code_points("aß€😀"), U"aß€😀");
  EXPECT_EQ(to_utf8(U"aß€😀"), "aß€😀");
}

TEST(text, normalisation_composes_or_maps_or_keeps) {
  EXPECT_EQ(normalise("e\u0301", Normalisation::none), U"e\u0301");
  EXPECT_EQ(normalise("e\u0301", Normalisation::nfc), U"é");
  EXPECT_EQ(normalise("ﬁ", Normalisation::nfc), U"ﬁ");
  EXPECT_EQ(normalise("ﬁ", Normalisation::nfkc), U"fi");
  EXPECT_EQ(normalise("", Normalisation::nfc), U"");
}

TEST(text, words_are_separated_by_any_white_space) {
  EXPECT_THAT(words(U"  ab\tc\u00A0d\u202Fe\n"), ElementsAre(U"ab", U"c", U"d", U"e"));
  EXPECT_THAT(words(U" "), IsEmpty());
}

TEST(alphabet, sequence_classes_count_from_one_after_the_blank) {
  const auto alphabet = Alphabet::of_labels(words_of_test, Target::sequence);
  EXPECT_THAT(alphabet.symbols(), ElementsAre("a", "b", "l", "Ö", "ñ"));
  EXPECT_EQ(alphabet.classes(), 6);
  EXPECT_THAT(alphabet.encode("añb"), ElementsAre(1, 5, 2));
  EXPECT_EQ(alphabet.decode(std::vector<std::int32_t>{2, 1, 5}), "bañ");
}

TEST(alphabet, classifier_classes_count_from_zero_and_are_whole_labels) {
  const auto alphabet = Alphabet::of_labels(std::vector<std::string>{"10", "9", "10"}, Target::single);
  EXPECT_EQ(alphabet.classes(), 2);
  EXPECT_THAT(alphabet.encode("10"), ElementsAre(0));
  EXPECT_THAT(alphabet.encode("9"), ElementsAre(1));
  EXPECT_EQ(alphabet.decode(std::vector<std::int32_t>{1}), "9");
}

TEST(alphabet, labels_are_normalised_before_encoding) {
  const Alphabet alphabet({"é"}, Target::sequence);
  EXPECT_THAT(alphabet.encode("e\u0301"), ElementsAre(1));
}

TEST(alphabet, an_unknown_character_is_named) {
  const Alphabet alphabet({"a", "b"}, Target::sequence);
  const std::string message = message_of<DataError>([&] { alphabet.encode("abß"); });
  EXPECT_THAT(message, HasSubstr("'ß' (U+00DF)"));
  EXPECT_THAT(message, HasSubstr("'abß'"));
  EXPECT_THAT(alphabet.encode_known("aßb"), ElementsAre(1, 2));
}

TEST(alphabet, decoding_the_blank_or_beyond_is_an_error) {
  const Alphabet alphabet({"a", "b"}, Target::sequence);
  EXPECT_THROW(alphabet.decode(std::vector<std::int32_t>{0}), DataError);
  EXPECT_THROW(alphabet.decode(std::vector<std::int32_t>{3}), DataError);
}

TEST(alphabet, symbols_must_be_distinct_single_and_normalised) {
  EXPECT_THROW(Alphabet({"a", "a"}, Target::sequence), DataError);
  EXPECT_THROW(Alphabet({"ab"}, Target::sequence), DataError);
  EXPECT_THROW(Alphabet({""}, Target::single), DataError);
  EXPECT_THROW(Alphabet({"\u212B"}, Target::sequence),
               DataError);  // the Angstrom sign composes to A with ring
  EXPECT_NO_THROW(Alphabet({"\u212B"}, Target::sequence, Normalisation::none));
}

TEST(alphabet, json_round_trip_keeps_everything) {
  for (const Target target : {Target::sequence, Target::single}) {
    const Alphabet alphabet({"\"", "\\", "ß", "😀"}, target, Normalisation::nfkc);
    EXPECT_EQ(Alphabet::from_json(alphabet.to_json()), alphabet);
  }
}

TEST(alphabet, broken_json_is_a_data_error) {
  for (const char* bad :
       {"", "[]", R"({"target":"sequence"})", R"({"target":"x","normalisation":"nfc","symbols":[]})",
        R"({"target":"single","normalisation":"nfd","symbols":[]})"})
    EXPECT_THROW(Alphabet::from_json(bad), DataError) << bad;
}

}  // namespace
}  // namespace scrawl
