#pragma once
/// Synthetic handwriting: words in handwriting fonts, bent, inked and put on paper.
///
/// Sample i is a function of the options, the fonts that are found and i: not of the number of samples, nor
/// of who draws it when.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/data/synth/font.h"
#include "models/data/synth/font_table.h"
#include "models/data/synth/text_source.h"
#include "runtime/io/image.h"

namespace scrawl::synth {

/// train, val and test have fonts in common and no word; test-fonts has the words of test and fonts of its
/// own.
enum class SynthSplit : std::uint8_t { train, val, test, test_fonts };

inline constexpr std::array all_synth_splits{SynthSplit::train, SynthSplit::val, SynthSplit::test,
                                             SynthSplit::test_fonts};

std::string_view name_of(SynthSplit);  ///< "train", "val", "test", "test-fonts"

/// How much the hand and the paper vary: 0 not at all, 1 as on everyday scans, 2 harder than most scans; at
/// most 3.
struct Style {
  float shape = 1;
  float paper = 1;
};

/// The defaults make the set of the quickstart.
struct SynthOptions {
  std::uint64_t seed = 0;
  std::int64_t count = 60'000;
  ImageSize size{.width = 128, .height = 32};
  TextOptions text;
  Style style;

  /// Shares of the samples; train has the rest.
  double val = 0.05, test = 0.05, test_fonts = 0.05;

  std::filesystem::path font_table;  ///< empty: the one that scrawl ships with
  std::vector<std::filesystem::path> font_folders{"/usr/share/fonts", "/usr/local/share/fonts"};

  int threads = 0;  ///< 0: as many as the machine has processors

  enum class Existing : std::uint8_t { fail, overwrite };
  Existing existing = Existing::fail;  ///< what to do with a set that is there already
};

inline constexpr std::size_t min_train_fonts = 8;
inline constexpr std::size_t max_fonts = 64;

/// An image of `text` (UTF-8) in the hand of `font`: function of the arguments alone, of any thread.
/// Throws DataError when the font lacks a character, ShapeError for a size that is not positive or over
/// max_image_side.
Image render(std::string_view text, const Font& font, const Style&, std::uint64_t seed, std::uint64_t index,
             ImageSize size);

/// What to draw for a sample.
struct SynthSample {
  std::string text;
  const Font* font = nullptr;
  SynthSplit split = SynthSplit::train;
};

/// Draws samples in memory. Every member may be called from any thread.
class Synthesizer {
 public:
  /// Throws UsageError for options out of range, DataError when fewer than min_train_fonts fonts for training
  /// (or none held out, where test-fonts has a share) are found, naming the packages that have them, or when
  /// a split would have no words.
  explicit Synthesizer(SynthOptions);

  /// Throws DataError when none of the fonts has the characters of any of a hundred texts.
  SynthSample sample(std::uint64_t index) const;
  Image image(std::uint64_t index) const;

  const SynthOptions& options() const { return options_; }
  const TextSource& texts() const { return texts_; }
  const std::vector<std::unique_ptr<const Font>>& fonts() const { return fonts_; }
  const std::vector<FontEntry>& missing_fonts() const { return missing_; }

 private:
  using FontSet = std::uint64_t;  // bit i: fonts_[i]

  FontSet fonts_for(std::u32string_view text, SynthSplit) const;
  void load_fonts();
  void index_characters();

  SynthOptions options_;
  TextSource texts_;
  std::vector<std::unique_ptr<const Font>> fonts_;
  std::vector<FontEntry> missing_;
  FontSet train_fonts_ = 0, held_out_fonts_ = 0, cursive_fonts_ = 0;
  std::unordered_map<char32_t, FontSet> fonts_with_;  // character -> fonts that draw it
};

struct SynthSummary {
  std::map<SynthSplit, std::int64_t> samples;
  std::map<std::string, std::int64_t> samples_by_font;
  std::vector<FontEntry> missing_fonts;
};

/// Called now and then, by one thread at a time, with the number of samples written. What it throws ends the
/// work and comes out of synthesize.
using SynthProgress = std::function<void(std::int64_t done)>;

/// Writes a data set into `folder`:
///   labels.tsv             file, writer (the font), split, text; written last: a set without it is not whole
///   images/0000/0000000.png ... a thousand a folder
///   synth.json             the options, and the fonts found
/// Throws UsageError when `folder` is not empty, unless it has a set and `existing` says overwrite,
/// WriteError when the disk is full or not writable, and what Synthesizer throws.
SynthSummary synthesize(const SynthOptions&, const std::filesystem::path& folder,
                        const SynthProgress& progress = {});

}  // namespace scrawl::synth
