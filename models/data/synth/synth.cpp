#include "models/data/synth/synth.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>

#include "kernels/error.h"
#include "models/data/synth/draws.h"
#include "models/data/synth/paper.h"
#include "models/data/synth/pen.h"
#include "models/text.h"
#include "runtime/io/file.h"

namespace scrawl::synth {
namespace {

Pool pool_of(SynthSplit split) {
  switch (split) {
    case SynthSplit::train:
      return Pool::train;
    case SynthSplit::val:
      return Pool::val;
    case SynthSplit::test:
    case SynthSplit::test_fonts:
      return Pool::test;
  }
  throw InternalError("synth: no such split: {}", static_cast<int>(split));
}

/// Shares of the splits, in the order of all_synth_splits.
std::array<double, 4> shares_of(const SynthOptions& o) {
  return {1 - o.val - o.test - o.test_fonts, o.val, o.test, o.test_fonts};
}

/// The split of sample i: multiples of the golden ratio fill [0, 1) evenly, so that any number of samples has
/// nearly the shares asked for. Source: Weyl, 1916; Knuth, TAOCP 3, 6.4.
SynthSplit split_of(std::uint64_t index, const SynthOptions& options) {
  constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;
  double at = static_cast<double>(index * golden >> 11) * 0x1p-53;
  const auto shares = shares_of(options);
  for (std::size_t i = 1; i < shares.size(); ++i)
    if ((at -= shares[i]) < 0) return all_synth_splits[i];
  return SynthSplit::train;
}

void check(const SynthOptions& o) {
  for (const double share : shares_of(o))
    if (!(share >= 0 && share <= 1))
      throw UsageError(
          "synth: expected shares of val, test and test-fonts from 0 to 1 in all, got {}, {} and {}", o.val,
          o.test, o.test_fonts);
  constexpr float wildest = 3;
  for (const float strength : {o.style.shape, o.style.paper})
    if (!(strength >= 0 && strength <= wildest))
      throw UsageError("synth: expected a style from 0 to {}, got {}", wildest, strength);
  constexpr int smallest = 8;
  if (std::min(o.size.width, o.size.height) < smallest ||
      std::max(o.size.width, o.size.height) > max_image_side)
    throw UsageError("synth: expected images of {} to {} pixels a side, got {}x{}", smallest, max_image_side,
                     o.size.height, o.size.width);
  if (o.count < 1) throw UsageError("synth: expected a count of at least 1, got {}", o.count);
  if (o.threads < 0) throw UsageError("synth: expected a number of threads >= 0, got {}", o.threads);
}

std::vector<FontEntry> table_of(const SynthOptions& options) {
  if (options.font_table.empty()) return shipped_font_table();
  const auto bytes = read_file(options.font_table);
  return parse_font_table({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                          options.font_table.string());
}

bool has_word_in_capitals(std::u32string_view text) {
  const auto is_capital = [](char32_t c) {
    return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_LU;
  };
  return std::ranges::adjacent_find(
             text, [&](char32_t a, char32_t b) { return is_capital(a) && is_capital(b); }) != text.end();
}

/// The place of the n-th bit that is set.
std::size_t nth_set_bit(std::uint64_t bits, std::size_t n) {
  for (; n > 0; --n) bits &= bits - 1;
  return static_cast<std::size_t>(std::countr_zero(bits));
}

}  // namespace

std::string_view name_of(SynthSplit split) {
  constexpr std::array<std::string_view, 4> names{"train", "val", "test", "test-fonts"};
  return names[static_cast<std::size_t>(split)];
}

Image render(std::string_view text, const Font& font, const Style& style, std::uint64_t seed,
             std::uint64_t index, ImageSize size) {
  if (size.width < 1 || size.height < 1 || size.width > max_image_side || size.height > max_image_side)
    throw ShapeError("synth: expected an image of 1 to {} pixels a side, got {}x{}", max_image_side,
                     size.height, size.width);
  const std::u32string characters = normalise(text, Normalisation::nfc);
  for (const char32_t c : characters)
    if (!font.draws(c))
      throw DataError("synth: the font {} lacks the character {} of \"{}\"", font.name(),
                      to_utf8(std::u32string_view(&c, 1)), text);
  Draws pen(seed, index, Purpose::pen), paper(seed, index, Purpose::paper),
      grain(seed, index, Purpose::grain);
  return draw_on_paper(write_text(characters, font, size, style.shape, pen), style.paper, paper, grain);
}

Synthesizer::Synthesizer(SynthOptions options) : options_(std::move(options)), texts_(options_.text) {
  check(options_);
  const auto shares = shares_of(options_);
  for (const SynthSplit split : all_synth_splits)
    if (shares[static_cast<std::size_t>(split)] > 0 && texts_.words(pool_of(split)) == 0)
      throw DataError(
          "synth: no word is left for {}: expected more words of {} to {} of the characters \"{}\", "
          "got {} for train, {} for val, {} for test",
          name_of(split), options_.text.min_length, options_.text.max_length, options_.text.characters,
          texts_.words(Pool::train), texts_.words(Pool::val), texts_.words(Pool::test));
  load_fonts();
  index_characters();
}

void Synthesizer::load_fonts() {
  const std::vector<FontEntry> table = table_of(options_);
  if (table.size() > max_fonts)
    throw DataError("synth: expected at most {} fonts in a table, got {}", max_fonts, table.size());
  FontSearch search = find_fonts(table, options_.font_folders);
  missing_ = std::move(search.missing);
  for (FoundFont& found : search.found) {
    FontSet& set = found.entry.use == FontUse::train ? train_fonts_ : held_out_fonts_;
    const FontSet bit = FontSet{1} << fonts_.size();
    set |= bit;
    if (found.entry.hand == Hand::cursive) cursive_fonts_ |= bit;
    fonts_.push_back(std::make_unique<Font>(std::move(found.entry), found.file));
  }
  const auto trained = static_cast<std::size_t>(std::popcount(train_fonts_));
  if (trained < min_train_fonts)
    throw DataError("synth: expected at least {} handwriting fonts for training, got {}: install more of {}",
                    min_train_fonts, trained, packages_of(missing_));
  if (options_.test_fonts > 0 && held_out_fonts_ == 0)
    throw DataError("synth: expected a held-out font for test-fonts, got none: install more of {}",
                    packages_of(missing_));
}

void Synthesizer::index_characters() {
  for (const char32_t c : texts_.characters()) {
    FontSet& set = fonts_with_[c];
    for (std::size_t i = 0; i < fonts_.size(); ++i)
      if (fonts_[i]->draws(c)) set |= FontSet{1} << i;
  }
}

Synthesizer::FontSet Synthesizer::fonts_for(std::u32string_view text, SynthSplit split) const {
  FontSet set = split == SynthSplit::test_fonts ? held_out_fonts_ : train_fonts_;
  if (has_word_in_capitals(text)) set &= ~cursive_fonts_;  // nobody joins capitals
  for (const char32_t c : text) set &= fonts_with_.at(c);
  return set;
}

SynthSample Synthesizer::sample(std::uint64_t index) const {
  const SynthSplit split = split_of(index, options_);
  Draws draws(options_.seed, index, Purpose::text);
  std::u32string text;
  for (int attempt = 0; attempt < 100; ++attempt) {
    text = texts_.text(pool_of(split), draws);
    const FontSet set = fonts_for(text, split);
    if (set == 0) continue;
    const std::size_t chosen = draws.below(static_cast<std::size_t>(std::popcount(set)));
    return {.text = to_utf8(text), .font = fonts_[nth_set_bit(set, chosen)].get(), .split = split};
  }
  throw DataError("synth: no font of the split {} has all characters of \"{}\", nor of 99 texts before it",
                  name_of(split), to_utf8(text));
}

Image Synthesizer::image(std::uint64_t index) const {
  const SynthSample drawn = sample(index);
  return render(drawn.text, *drawn.font, options_.style, options_.seed, index, options_.size);
}

}  // namespace scrawl::synth
