#pragma once
/// What the tests of synthetic handwriting draw with: a word list of their own, and the fonts of this
/// machine.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "models/data/synth/synth.h"
#include "tests/data/sample_files.h"

namespace scrawl::testing {

/// Skips the test where fonts are not installed.
class InstalledFonts : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto search = synth::find_fonts(synth::shipped_font_table(), synth::SynthOptions().font_folders);
    if (!search.missing.empty()) GTEST_SKIP() << "not installed: " << synth::packages_of(search.missing);
  }

  /// A small set of the words that `write_words` makes up.
  synth::SynthOptions small_set() {
    synth::SynthOptions options;
    options.text.lists = {write_words()};
    options.count = 300;
    options.val = options.test = options.test_fonts = 0.2;
    return options;
  }

  /// A list of 676 words: two letters, each with each, between two others.
  std::string write_words() {
    std::string words;
    for (char a = 'a'; a <= 'z'; ++a)
      for (char b = 'a'; b <= 'z'; ++b) words += {'w', a, b, 'd', '\n'};
    write_text(folder_ / "words", words);
    return (folder_ / "words").string();
  }

  TemporaryFolder folder_;
};

}  // namespace scrawl::testing
