#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/error.h"
#include "models/decode/edit_distance.h"
#include "models/decode/greedy.h"

namespace scrawl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Log-probabilities (T,K) whose best class in frame t is best[t], with probability `p`.
struct Frames {
  std::vector<float> values;
  View view;

  Frames(const std::vector<int>& best, int classes, float p) {
    const float rest = std::log((1 - p) / static_cast<float>(classes - 1));
    values.assign(best.size() * static_cast<std::size_t>(classes), rest);
    for (std::size_t t = 0; t < best.size(); ++t)
      values[t * static_cast<std::size_t>(classes) + static_cast<std::size_t>(best[t])] = std::log(p);
    view = {.data = values.data(),
            .shape = {static_cast<std::int64_t>(best.size()), classes},
            .strides = {classes, 1}};
  }
};

TEST(greedy, merges_repeats_and_removes_blanks) {
  const Frames frames({0, 2, 2, 0, 2, 1, 1, 0}, 3, 0.8f);
  EXPECT_THAT(decode_greedy(frames.view, 8).classes, ElementsAre(2, 2, 1));
}

TEST(greedy, reads_only_the_frames_within_length) {
  const Frames frames({1, 2, 1, 2}, 3, 0.8f);
  EXPECT_THAT(decode_greedy(frames.view, 2).classes, ElementsAre(1, 2));
  EXPECT_THAT(decode_greedy(frames.view, 0).classes, IsEmpty());
  EXPECT_THROW(decode_greedy(frames.view, 5), ShapeError);
  EXPECT_THROW(decode_greedy(frames.view, -1), ShapeError);
}

TEST(greedy, probability_is_that_of_the_best_path) {
  const Frames frames({1, 1, 0, 2}, 3, 0.5f);
  const Decoded decoded = decode_greedy(frames.view, 4);
  EXPECT_NEAR(decoded.log_probability, 4 * std::log(0.5), 1e-6);
  EXPECT_NEAR(decoded.confidence(), 0.25, 1e-6);  // two characters: sqrt(0.5^4)
}

TEST(greedy, follows_the_strides_of_its_view) {
  // (T, N, K) with N = 2: sample 1 reads every second row.
  std::vector<float> values{9, 0, 0, 0, 9, 0, 9, 0, 0, 0, 0, 9};
  const View second{.data = values.data() + 3, .shape = {2, 3}, .strides = {6, 1}};
  EXPECT_THAT(decode_greedy(second, 2).classes, ElementsAre(1, 2));
}

TEST(greedy, the_lowest_of_equal_classes_wins) {
  std::vector<float> values{-1, -1, -1};
  const View tie{.data = values.data(), .shape = {1, 3}, .strides = {3, 1}};
  EXPECT_THAT(decode_greedy(tie, 1).classes, IsEmpty());
}

TEST(edit_distance, counts_insertions_deletions_and_substitutions) {
  const auto distance = [](std::u32string a, std::u32string b) { return edit_distance(a, b); };
  EXPECT_EQ(distance(U"kitten", U"sitting"), 3);
  EXPECT_EQ(distance(U"", U"abc"), 3);
  EXPECT_EQ(distance(U"abc", U""), 3);
  EXPECT_EQ(distance(U"", U""), 0);
  EXPECT_EQ(distance(U"straße", U"strasse"), 2);  // code points, not bytes
  EXPECT_EQ(distance(U"ab", U"ba"), 2);           // a transposition is two edits
}

}  // namespace
}  // namespace scrawl
