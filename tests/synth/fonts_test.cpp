#include <gmock/gmock.h>

#include <algorithm>

#include "kernels/error.h"
#include "models/data/synth/font_table.h"
#include "tests/synth/installed_fonts.h"

namespace scrawl::synth {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_text;

constexpr std::string_view one_font = R"(
[[font]]
file = "A.ttf"
package = "fonts-a"
licence = "OFL-1.1"
)";

TEST(font_table, reads_every_key_and_has_defaults) {
  const auto fonts = parse_font_table(std::string(one_font) + R"(
[[font]]
file = "B.otf"
package = "fonts-b"
licence = "GPL-2"
split = "held_out"
hand = "cursive"
unfit = "ß"
)",
                                      "table");
  ASSERT_EQ(fonts.size(), 2u);
  EXPECT_EQ(fonts[0].name(), "A");
  EXPECT_EQ(fonts[0].use, FontUse::train);
  EXPECT_EQ(fonts[0].hand, Hand::print);
  EXPECT_EQ(fonts[1].package, "fonts-b");
  EXPECT_EQ(fonts[1].licence, "GPL-2");
  EXPECT_EQ(fonts[1].use, FontUse::held_out);
  EXPECT_EQ(fonts[1].hand, Hand::cursive);
  EXPECT_EQ(fonts[1].unfit, "ß");
}

TEST(font_table, names_the_entry_and_the_key_that_are_wrong) {
  const auto message = [](std::string_view toml) -> std::string {
    try {
      parse_font_table(toml, "table");
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(message("[[font]]\nfile = 1"), HasSubstr("table font 1: expected a string `file`"));
  EXPECT_THAT(message(std::string(one_font) + "split = \"tset\""),
              HasSubstr("split: expected train or held_out"));
  EXPECT_THAT(message("x = 1"), HasSubstr("expected entries [[font]]"));
  EXPECT_THAT(message("a\nb"), HasSubstr("table line 1"));
}

TEST(font_table, shipped_one_has_hands_to_train_on_and_hands_to_hold_out) {
  const auto fonts = shipped_font_table();
  EXPECT_GE(std::ranges::count(fonts, FontUse::train, &FontEntry::use), 12);
  EXPECT_GE(std::ranges::count(fonts, FontUse::held_out, &FontEntry::use), 3);
  EXPECT_LE(fonts.size(), max_fonts);
  for (const FontEntry& font : fonts) EXPECT_THAT(font.package, ::testing::StartsWith("fonts-"));
}

TEST(font_table, files_are_found_below_the_folders_and_missing_ones_reported) {
  const TemporaryFolder folder;
  write_text(folder / "a/deep/A.ttf", "");
  write_text(folder / "b/A.ttf", "");
  const std::vector<FontEntry> entries{{.file = "A.ttf", .package = "fonts-a"},
                                       {.file = "B.ttf", .package = "fonts-b"},
                                       {.file = "C.ttf", .package = "fonts-b"}};
  const auto search = find_fonts(entries, {folder / "nowhere", folder / "a", folder / "b"});
  ASSERT_EQ(search.found.size(), 1u);
  EXPECT_EQ(search.found[0].file, folder / "a/deep/A.ttf");
  EXPECT_EQ(packages_of(search.missing), "fonts-b");
}

TEST(font, a_file_that_is_no_font_is_a_data_error) {
  const TemporaryFolder folder;
  write_text(folder / "A.ttf", "not a font");
  EXPECT_THROW(Font({.file = "A.ttf"}, folder / "A.ttf"), DataError);
}

using synth_fonts = testing::InstalledFonts;

TEST_F(synth_fonts, too_few_is_an_error_that_names_the_packages) {
  SynthOptions options = small_set();
  options.font_folders = {folder_.path()};
  try {
    const Synthesizer synthesizer(options);
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("expected at least 8 handwriting fonts for training, got 0"));
    EXPECT_THAT(e.what(), HasSubstr("fonts-dancingscript"));
  }
}

TEST_F(synth_fonts, no_held_out_font_is_an_error_only_where_one_is_asked_for) {
  std::string table;
  for (const FontEntry& font : shipped_font_table())
    if (font.use == FontUse::train)
      table += fmt::format("[[font]]\nfile=\"{}\"\npackage=\"{}\"\nlicence=\"x\"\n", font.file, font.package);
  write_text(folder_ / "fonts.toml", table);
  SynthOptions options = small_set();
  options.font_table = folder_ / "fonts.toml";
  EXPECT_THROW(Synthesizer{options}, DataError);
  options.test_fonts = 0;
  EXPECT_NO_THROW(Synthesizer{options});
}

}  // namespace
}  // namespace scrawl::synth
