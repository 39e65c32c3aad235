#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <map>
#include <set>

#include "kernels/error.h"
#include "models/data/dataset.h"
#include "models/data/table.h"
#include "tests/synth/installed_fonts.h"

namespace scrawl::synth {
namespace {

namespace fs = std::filesystem;
using testing::read_text;
using testing::write_text;
using synth_set = testing::InstalledFonts;

/// Path below `root` -> bytes, of all files.
std::map<std::string, std::string> files_below(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file()) files[fs::relative(entry.path(), root)] = read_text(entry.path());
  return files;
}

TEST_F(synth_set, is_the_same_at_any_thread_count) {
  SynthOptions options = small_set();
  options.threads = 1;
  synthesize(options, folder_ / "one");
  options.threads = 5;
  synthesize(options, folder_ / "five");
  const auto one = files_below(folder_ / "one");
  EXPECT_EQ(one.size(), 302u);  // images, labels.tsv, synth.json
  EXPECT_EQ(one, files_below(folder_ / "five"));
}

TEST_F(synth_set, a_larger_one_begins_with_the_smaller) {
  SynthOptions options = small_set();
  const Synthesizer few(options);
  options.count = 1'000'000;
  const Synthesizer many(options);
  for (std::uint64_t i : {0, 7, 299}) {
    EXPECT_EQ(few.sample(i).text, many.sample(i).text);
    EXPECT_EQ(few.image(i).pixels, many.image(i).pixels);
  }
}

TEST_F(synth_set, splits_have_their_shares_words_and_fonts) {
  const Synthesizer synthesizer(small_set());
  std::map<SynthSplit, int> count;
  std::map<SynthSplit, std::set<std::string>> words;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const SynthSample sample = synthesizer.sample(i);
    ++count[sample.split];
    std::string word = sample.text;
    word[0] = static_cast<char>(std::tolower(word[0]));
    words[sample.split].insert(word);
    EXPECT_EQ(sample.font->entry().use == FontUse::held_out, sample.split == SynthSplit::test_fonts);
  }
  for (const SynthSplit split : {SynthSplit::val, SynthSplit::test, SynthSplit::test_fonts})
    EXPECT_NEAR(count[split], 400, 10) << name_of(split);
  for (const std::string& word : words[SynthSplit::train])
    for (const SynthSplit split : {SynthSplit::val, SynthSplit::test, SynthSplit::test_fonts})
      EXPECT_FALSE(words[split].contains(word)) << word;
  for (const std::string& word : words[SynthSplit::val]) EXPECT_FALSE(words[SynthSplit::test].contains(word));
}

TEST_F(synth_set, capitals_are_never_joined) {
  SynthOptions options = small_set();
  options.text.lower = options.text.capitalised = 0;
  options.text.upper = 1;
  const Synthesizer synthesizer(options);
  for (std::uint64_t i = 0; i < 500; ++i) EXPECT_EQ(synthesizer.sample(i).font->entry().hand, Hand::print);
}

TEST_F(synth_set, fonts_that_lack_a_character_are_left_out) {
  write_text(folder_ / "words", "œuvre\ncœur\nsœur\nœil\nvœu\nbœuf\nnœud\nmœurs\n");
  SynthOptions options;
  options.text.lists = {(folder_ / "words").string()};
  options.text.characters = "";
  options.text.val_words = options.text.test_words = 0;
  options.val = options.test = options.test_fonts = 0;
  const Synthesizer synthesizer(options);
  for (std::uint64_t i = 0; i < 300; ++i) EXPECT_TRUE(synthesizer.sample(i).font->draws(U'œ'));
  write_text(folder_ / "words", "слово\n");
  const Synthesizer cyrillic(options);
  EXPECT_NO_THROW(cyrillic.sample(0));  // some of the fonts have it
  write_text(folder_ / "words", "𓀀𓀁\n");
  EXPECT_THROW(Synthesizer(options).sample(0), DataError);
}

TEST_F(synth_set, labels_come_back_through_the_data_set_reader) {
  SynthOptions options = small_set();
  options.size = {.width = 256, .height = 64};
  options.text.min_words = 2;
  options.text.max_words = 3;
  options.text.punctuation = options.text.numbers = 0.2;
  const SynthSummary summary = synthesize(options, folder_ / "set");
  const Synthesizer synthesizer(options);

  const std::string labels = read_text(folder_ / "set/labels.tsv");
  const auto rows = parse_table(labels, Delimiter::tab, "labels.tsv");
  ASSERT_EQ(rows.size(), 301u);
  EXPECT_THAT(rows[0].fields, ::testing::ElementsAre("file", "writer", "split", "text"));
  for (std::size_t i = 0; i < 300; ++i) {
    const SynthSample sample = synthesizer.sample(i);
    EXPECT_THAT(rows[i + 1].fields,
                ::testing::ElementsAre(fmt::format("images/0000/{:07}.png", i), sample.font->name(),
                                       name_of(sample.split), sample.text));
  }

  const Dataset data = open_dataset(folder_ / "set");
  const auto expected = [&](SynthSplit split) { return static_cast<std::size_t>(summary.samples.at(split)); };
  EXPECT_EQ(data.indices(Split::train).size(), expected(SynthSplit::train));
  EXPECT_EQ(data.indices(Split::validation).size(), expected(SynthSplit::val));
  for (std::size_t i = 0; i < 300; ++i) {
    const Image image = read_image(folder_ / "set" / rows[i + 1].fields[0], Channels::stored);
    EXPECT_EQ(image.channels, 1);
    EXPECT_EQ(image.width, 256);
    EXPECT_EQ(image.height, 64);
    EXPECT_EQ(image.pixels, synthesizer.image(i).pixels) << i;
  }
}

TEST_F(synth_set, summary_counts_every_sample) {
  const SynthSummary summary = synthesize(small_set(), folder_ / "set");
  std::int64_t by_split = 0, by_font = 0;
  for (const auto& [split, count] : summary.samples) by_split += count;
  for (const auto& [font, count] : summary.samples_by_font) by_font += count;
  EXPECT_EQ(by_split, 300);
  EXPECT_EQ(by_font, 300);
}

TEST_F(synth_set, a_folder_with_files_is_kept_unless_it_is_a_set_to_overwrite) {
  SynthOptions options = small_set();
  options.count = 10;
  write_text(folder_ / "precious/file", "mine");
  EXPECT_THROW(synthesize(options, folder_ / "precious"), UsageError);
  options.existing = SynthOptions::Existing::overwrite;
  EXPECT_THROW(synthesize(options, folder_ / "precious"), UsageError);
  EXPECT_EQ(read_text(folder_ / "precious/file"), "mine");

  options.count = 20;
  synthesize(options, folder_ / "set");
  options.count = 10;
  synthesize(options, folder_ / "set");
  EXPECT_EQ(files_below(folder_ / "set").size(), 12u);
  options.existing = SynthOptions::Existing::fail;
  EXPECT_THROW(synthesize(options, folder_ / "set"), UsageError);
}

TEST_F(synth_set, a_place_that_cannot_be_written_is_a_write_error) {
  write_text(folder_ / "file", "");
  EXPECT_THROW(synthesize(small_set(), folder_ / "file/set"), WriteError);
}

/// Writes beyond `bytes` of a file fail, as on a full disk, until the end of the scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit old_{};
};

TEST_F(synth_set, a_full_disk_is_a_write_error_and_leaves_no_labels) {
  SynthOptions options = small_set();
  options.size = {.width = 512, .height = 128};
  {
    const FileSizeLimit limit(4096);
    EXPECT_THROW(synthesize(options, folder_ / "set"), WriteError);
  }
  EXPECT_FALSE(fs::exists(folder_ / "set/labels.tsv"));
}

TEST_F(synth_set, progress_reaches_the_count_and_can_stop_the_work) {
  std::int64_t last = 0;
  synthesize(small_set(), folder_ / "set", [&](std::int64_t done) {
    EXPECT_GT(done, last);
    last = done;
  });
  EXPECT_EQ(last, 300);

  struct Stop {};
  EXPECT_THROW(synthesize(small_set(), folder_ / "stopped", [](std::int64_t) { throw Stop(); }), Stop);
  EXPECT_FALSE(fs::exists(folder_ / "stopped/labels.tsv"));
}

TEST_F(synth_set, options_out_of_range_are_usage_errors) {
  const auto with = [&](auto change) {
    SynthOptions options = small_set();
    change(options);
    return options;
  };
  EXPECT_THROW(Synthesizer(with([](auto& o) { o.count = 0; })), UsageError);
  EXPECT_THROW(Synthesizer(with([](auto& o) { o.val = 0.9; })), UsageError);
  EXPECT_THROW(Synthesizer(with([](auto& o) { o.size.height = 2; })), UsageError);
  EXPECT_THROW(Synthesizer(with([](auto& o) { o.style.shape = -1; })), UsageError);
  EXPECT_THROW(Synthesizer(with([](auto& o) { o.threads = -1; })), UsageError);
}

TEST_F(synth_set, a_list_too_short_for_the_splits_is_a_data_error) {
  SynthOptions options = small_set();
  write_text(folder_ / "words", "word\n");
  EXPECT_THROW(Synthesizer{options}, DataError);
}

}  // namespace
}  // namespace scrawl::synth
