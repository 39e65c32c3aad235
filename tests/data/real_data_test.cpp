/// The sets of $SCRAWL_DATA, where they are present.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "models/data/dataset.h"
#include "models/data/loader.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using ::testing::ElementsAre;

struct RealData : ::testing::Test {
  std::filesystem::path data;

  void SetUp() override {
    const auto folder = testing::real_data();
    if (!folder) GTEST_SKIP() << "SCRAWL_DATA is not set";
    data = *folder;
  }
};

using real_data = RealData;

using Mean = std::vector<double>;  // (28, 28)

/// The mean image of the test samples with a label, less its own mean.
Mean mean_image(const Dataset& set, const std::string& label) {
  Mean mean(28 * 28);
  for (const std::size_t i : set.indices(Split::test)) {
    if (set.info(i).label != label) continue;
    const Image image = set.image(i);
    for (std::size_t p = 0; p < mean.size(); ++p) mean[p] += image.pixels[p];
  }
  const double level = std::accumulate(mean.begin(), mean.end(), 0.0) / static_cast<double>(mean.size());
  for (double& value : mean) value -= level;
  return mean;
}

Mean transposed(const Mean& image) {
  Mean turned(image.size());
  for (std::size_t y = 0; y < 28; ++y)
    for (std::size_t x = 0; x < 28; ++x) turned[x * 28 + y] = image[y * 28 + x];
  return turned;
}

Mean mirrored(const Mean& image) {
  Mean turned(image.size());
  for (std::size_t y = 0; y < 28; ++y)
    for (std::size_t x = 0; x < 28; ++x) turned[y * 28 + 27 - x] = image[y * 28 + x];
  return turned;
}

TEST_F(real_data, mnist_has_its_published_counts) {
  const Dataset mnist = open_dataset(data / "mnist");
  EXPECT_EQ(mnist.size(), 70000u);
  EXPECT_EQ(mnist.indices(Split::test).size(), 10000u);
  EXPECT_NEAR(static_cast<double>(mnist.indices(Split::validation).size()), 6000, 300);
  EXPECT_THAT(mnist.classes(), ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
  EXPECT_EQ(mnist.info(0).label, "5");
  EXPECT_EQ(mnist.info(60000).label, "7");
}

TEST_F(real_data, emnist_stands_upright_like_mnist) {
  const Dataset emnist = open_dataset(data / "emnist/emnist-47"), mnist = open_dataset(data / "mnist");
  EXPECT_EQ(emnist.indices(Split::test).size(), 18800u);
  EXPECT_EQ(emnist.classes().size(), 47u);
  for (const char* digit : {"2", "4", "7"}) {
    const Mean expected = mean_image(mnist, digit);
    Mean turned = mean_image(emnist, digit);
    std::vector<double> likeness;  // as stored by the reader, then in the seven other orientations
    for (int i = 0; i < 8; ++i) {
      likeness.push_back(std::inner_product(turned.begin(), turned.end(), expected.begin(), 0.0));
      turned = i % 2 == 0 ? transposed(turned) : mirrored(turned);
    }
    EXPECT_EQ(std::ranges::max_element(likeness) - likeness.begin(), 0) << digit;
  }
}

TEST_F(real_data, english62_is_split_by_writer) {
  const Dataset english = open_dataset(data / "english62/writers.csv", {.bad = Bad::fail});
  EXPECT_EQ(english.size(), 3410u);
  EXPECT_EQ(english.classes().size(), 62u);
  EXPECT_EQ(english.info(0).size.width, 1200);
  std::map<std::string, std::set<Split>> splits;
  for (std::size_t i = 0; i < english.size(); ++i)
    splits[english.info(i).writer].insert(english.info(i).split);
  EXPECT_EQ(splits.size(), 55u);
  for (const auto& [writer, found] : splits) EXPECT_EQ(found.size(), 1u);
  for (const Split split : all_splits) EXPECT_FALSE(english.indices(split).empty());
}

TEST_F(real_data, words_load_as_batches) {
  const auto words = std::make_shared<const Dataset>(open_dataset(data / "words-dhsd", {.bad = Bad::fail}));
  EXPECT_EQ(words->indices(Split::train).size(), 4638u);
  EXPECT_EQ(words->indices(Split::validation).size(), 641u);
  EXPECT_EQ(words->indices(Split::test).size(), 642u);
  const auto alphabet = Alphabet::of_labels(words->labels(Split::train), Target::sequence);
  const auto maker = std::make_shared<BatchMaker>(
      words, words->indices(Split::validation), alphabet,
      BatchOptions{.preparation = {.height = 64, .width = 256, .fit = Fit::left}, .pass = Pass::evaluate});
  Loader loader(maker);
  std::size_t seen = 0;
  while (const auto batch = loader.next()) {
    auto label = batch->labels.begin();
    for (int i = 0; i < batch->n; ++i, ++seen) {
      const auto length = batch->label_lengths[static_cast<std::size_t>(i)];
      EXPECT_EQ(alphabet.decode({label, label + length}),
                words->info(batch->samples[static_cast<std::size_t>(i)]).label);
      label += length;
    }
  }
  EXPECT_EQ(seen, 641u);
}

TEST_F(real_data, lines_keep_quotes_and_struck_out_marks) {
  const Dataset lines = open_dataset(data / "lines-copiste", {.bad = Bad::fail});
  EXPECT_EQ(lines.size(), 6038u);
  std::size_t quotes = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) quotes += lines.info(i).label.find('"') != std::string::npos;
  EXPECT_EQ(quotes, 17u);
}

}  // namespace
}  // namespace scrawl
