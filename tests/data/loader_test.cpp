#include "models/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "kernels/error.h"
#include "tests/data/sample_files.h"

namespace scrawl {
namespace {

using testing::bar_image;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

/// `n` images, each with its number as column of a bar and `label(i)`. Images in `bad` fail to decode.
struct TestSet {
  std::shared_ptr<std::atomic<int>> decoded = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<const Dataset> set;
  std::vector<std::size_t> all;

  explicit TestSet(
      int n, std::function<std::string(int)> label = [](int i) { return std::string(1, 'a' + i % 3); },
      std::set<std::size_t> bad = {}) {
    std::vector<SampleInfo> samples;
    for (int i = 0; i < n; ++i)
      samples.push_back({.key = fmt::format("k{}", i), .label = label(i), .size = {24, 8}});
    set = std::make_shared<const Dataset>("test", "memory", std::move(samples),
                                          [count = decoded, bad](std::size_t i) {
                                            ++*count;
                                            if (bad.contains(i)) throw DataError("k{}: cannot decode", i);
                                            return bar_image(24, 8, static_cast<int>(i % 24));
                                          });
    all.resize(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
  }
};

const Alphabet abc({"a", "b", "c"}, Target::single);
const Alphabet abc_text({"a", "b", "c"}, Target::sequence);

BatchOptions options(Pass pass = Pass::train) {
  return {.preparation = {.height = 8, .width = 24, .fit = Fit::left},
          .pass = pass,
          .size = 4,
          .augmentation = {.rotate = 5, .shift = 0.1}};
}

std::shared_ptr<BatchMaker> maker(const TestSet& data, const BatchOptions& batch,
                                  const Alphabet& alphabet = abc) {
  return std::make_shared<BatchMaker>(data.set, data.all, alphabet, batch);
}

std::vector<Batch> take(Loader& loader, int count) {
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) batches.push_back(loader.next().value());
  return batches;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.pixels, b.pixels);
  EXPECT_EQ(a.widths, b.widths);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.first_global_sample, b.first_global_sample);
  EXPECT_EQ(a.valid, b.valid);
}

TEST(loader, an_epoch_holds_each_sample_once_and_wraps_its_last_batch) {
  const TestSet data(10);
  Loader loader(maker(data, options()));
  std::multiset<std::size_t> seen;
  const auto batches = take(loader, 3);
  for (const Batch& batch : batches) {
    EXPECT_EQ(batch.n, 4);
    EXPECT_EQ(batch.pixels.size(), 4u * 8 * 24);
    for (int i = 0; i < batch.valid; ++i) seen.insert(batch.samples[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(seen, std::multiset<std::size_t>(data.all.begin(), data.all.end()));
  EXPECT_EQ(batches[2].valid, 2);
  EXPECT_EQ(batches[2].samples[2], batches[0].samples[0]);
  EXPECT_EQ(batches[2].next_position, 10);
  EXPECT_EQ(loader.next()->first_global_sample, 10);
}

TEST(loader, any_number_of_workers_makes_the_same_batches) {
  const TestSet data(30);
  Loader one(maker(data, options()), {.workers = 1});
  Loader three(maker(data, options()), {.workers = 3, .prefetch = 7});
  const auto a = take(one, 20), b = take(three, 20);
  for (std::size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
}

TEST(loader, resuming_at_any_position_continues_as_if_never_stopped) {
  const TestSet data(10);
  Loader whole(maker(data, options()));
  const auto batches = take(whole, 8);
  for (std::size_t i = 0; i + 1 < batches.size(); ++i) {
    Loader resumed(maker(data, options()), {.position = batches[i].next_position});
    expect_equal(resumed.next().value(), batches[i + 1]);
  }
}

TEST(loader, the_cache_saves_decoding_and_changes_nothing) {
  const TestSet cached(10), uncached(10);
  BatchOptions none = options();
  none.cache_bytes = 0;
  {
    Loader with(maker(cached, options())), without(maker(uncached, none));
    const auto a = take(with, 12), b = take(without, 12);
    for (std::size_t i = 0; i < a.size(); ++i) expect_equal(a[i], b[i]);
  }
  EXPECT_EQ(*cached.decoded, 10);
  EXPECT_GE(*uncached.decoded, 12 * 4);
}

TEST(loader, evaluation_goes_through_once_in_order_with_a_smaller_tail) {
  const TestSet data(10);
  Loader loader(maker(data, options(Pass::evaluate)), {.workers = 2});
  std::vector<std::size_t> seen;
  std::vector<int> sizes;
  while (const auto batch = loader.next()) {
    seen.insert(seen.end(), batch->samples.begin(), batch->samples.end());
    sizes.push_back(batch->n);
    // Not augmented: the bar stays where it is.
    EXPECT_EQ(batch->pixels[4 * 24 + batch->samples[0] % 24], 255);
  }
  EXPECT_EQ(seen, data.all);
  EXPECT_THAT(sizes, ElementsAre(4, 4, 2));
  EXPECT_FALSE(loader.next().has_value());
}

TEST(loader, ranks_share_a_global_batch) {
  const TestSet data(10);
  BatchOptions whole = options();
  whole.size = 6;
  const auto global = maker(data, whole);
  for (const std::int64_t position : {0, 6, 10}) {
    const Batch both = global->make(position);
    for (int rank = 0; rank < 2; ++rank) {
      BatchOptions half = options();
      half.size = 3;
      half.rank = rank;
      half.ranks = 2;
      const Batch part = maker(data, half)->make(position);
      const auto bytes = static_cast<std::ptrdiff_t>(both.pixels.size() / 2);
      EXPECT_TRUE(std::equal(part.pixels.begin(), part.pixels.end(), both.pixels.begin() + rank * bytes));
      EXPECT_TRUE(std::equal(part.samples.begin(), part.samples.end(), both.samples.begin() + rank * 3));
      EXPECT_EQ(part.valid, std::clamp(both.valid - 3 * rank, 0, 3));
      EXPECT_EQ(part.next_position, both.next_position);
    }
  }
}

TEST(loader, text_labels_are_concatenated_with_their_lengths) {
  const TestSet data(4,
                     [](int i) { return std::string("abcabc").substr(0, static_cast<std::size_t>(i + 1)); });
  const Batch batch = maker(data, options(Pass::evaluate), abc_text)->make(0);
  EXPECT_THAT(batch.label_lengths, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(batch.labels, ElementsAre(1, 1, 2, 1, 2, 3, 1, 2, 3, 1));
  EXPECT_THAT(batch.widths, ElementsAre(24, 24, 24, 24));
}

TEST(loader, balance_evens_out_the_classes) {
  const TestSet data(100, [](int i) { return i < 90 ? "a" : "b"; });
  BatchOptions balanced = options();
  balanced.size = 100;
  balanced.balance = 1;
  const Batch batch = maker(data, balanced)->make(0);
  EXPECT_EQ(std::ranges::count(batch.labels, 0), 50);
  EXPECT_THROW(maker(data, balanced, abc_text), UsageError);
}

TEST(loader, labels_outside_the_alphabet_are_left_out_and_counted) {
  const TestSet data(6, [](int i) { return i == 2 ? "ax" : "a"; });
  const auto train = maker(data, options(), abc_text);
  EXPECT_EQ(train->samples(), 5);
  ASSERT_EQ(train->skipped().size(), 1u);
  EXPECT_EQ(train->skipped()[0].key, "k2");
  EXPECT_EQ(train->skipped()[0].reason, "label outside the alphabet");
  // Evaluation of text keeps the sample, so that its error is measured.
  const auto evaluation = maker(data, options(Pass::evaluate), abc_text);
  EXPECT_EQ(evaluation->samples(), 6);
  EXPECT_EQ(evaluation->make(0).label_lengths[2], 1);
  EXPECT_EQ(maker(data, options(Pass::evaluate), abc)->samples(), 5);

  BatchOptions strict = options();
  strict.bad = Bad::fail;
  EXPECT_THAT(message_of<DataError>([&] { maker(data, strict, abc_text); }), HasSubstr("'x' (U+0078)"));
}

TEST(loader, infeasible_labels_are_left_out_of_training_and_named) {
  const TestSet data(4, [](int i) { return i == 1 ? "aab" : "abc"; });
  BatchOptions batch = options();
  batch.frames = [](int width) { return width / 8; };
  const auto train = maker(data, batch, abc_text);
  EXPECT_EQ(train->samples(), 3);
  ASSERT_EQ(train->skipped().size(), 1u);
  EXPECT_EQ(train->skipped()[0].key, "k1");
  EXPECT_THAT(train->skipped()[0].detail, HasSubstr("'aab' needs T >= 4, got 3"));
}

TEST(loader, training_replaces_an_image_that_cannot_be_decoded) {
  const TestSet good(10), broken(10, [](int i) { return std::string(1, 'a' + i % 3); }, {7});
  const auto bad_maker = maker(broken, options());
  Loader loader(bad_maker), whole(maker(good, options()));
  for (int i = 0; i < 6; ++i) {
    const Batch batch = loader.next().value(), expected = whole.next().value();
    EXPECT_EQ(batch.n, 4);
    for (std::size_t slot = 0; slot < 4; ++slot) {
      EXPECT_NE(batch.samples[slot], 7u);
      if (expected.samples[slot] != 7) {
        EXPECT_EQ(batch.samples[slot], expected.samples[slot]);
      }
    }
  }
  ASSERT_EQ(bad_maker->skipped().size(), 1u);
  EXPECT_EQ(bad_maker->skipped()[0].key, "k7");
}

TEST(loader, evaluation_leaves_out_images_that_cannot_be_decoded) {
  const TestSet data(9, [](int) { return "a"; }, {1, 4, 5, 6, 7});
  const auto evaluation = maker(data, options(Pass::evaluate));
  Loader loader(evaluation);
  EXPECT_THAT(loader.next()->samples, ElementsAre(0, 2, 3));
  EXPECT_THAT(loader.next()->samples, ElementsAre(8));  // the batch of 4 to 7 is empty
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_EQ(evaluation->skipped().size(), 5u);
}

TEST(loader, a_worker_error_reaches_the_consumer) {
  const TestSet data(10, [](int) { return "a"; }, {3});
  BatchOptions strict = options(Pass::evaluate);
  strict.bad = Bad::fail;
  Loader loader(maker(data, strict), {.workers = 2});
  EXPECT_THAT(message_of<DataError>([&] { loader.next(); }), HasSubstr("k3: cannot decode"));
  EXPECT_EQ(loader.next()->samples[0], 4u);
}

TEST(loader, a_set_of_which_nothing_can_be_decoded_is_a_data_error) {
  const TestSet data(2, [](int) { return "a"; }, {0, 1});
  Loader loader(maker(data, options()));
  EXPECT_THAT(message_of<DataError>([&] { loader.next(); }), HasSubstr("no image can be decoded"));
}

TEST(loader, no_usable_sample_is_a_data_error_with_reasons) {
  const TestSet data(2, [](int) { return "x"; });
  EXPECT_THAT(message_of<DataError>([&] { maker(data, options()); }),
              HasSubstr("label outside the alphabet: 2"));
  const TestSet empty(0);
  EXPECT_THROW(maker(empty, options()), DataError);
}

TEST(loader, can_be_destroyed_at_any_moment) {
  const TestSet data(50);
  const auto shared = maker(data, options());
  for (int i = 0; i < 50; ++i) {
    Loader loader(shared, {.workers = 3});
    for (int taken = 0; taken < i % 4; ++taken) loader.next();
  }
}

TEST(loader, makes_no_more_than_prefetch_batches_ahead) {
  const TestSet data(1000);
  Loader loader(maker(data, options()), {.workers = 3, .prefetch = 2});
  take(loader, 5);
  // Whatever the timing: 5 consumed and at most 2 ahead, of 4 images each.
  EXPECT_LE(*data.decoded, (5 + 2) * 4);
}

TEST(loader, options_out_of_range_are_usage_errors) {
  const TestSet data(2);
  BatchOptions bad = options();
  bad.size = 0;
  EXPECT_THROW(maker(data, bad), UsageError);
  bad = options();
  bad.rank = 1;
  EXPECT_THROW(maker(data, bad), UsageError);
  bad = options(Pass::evaluate);
  bad.ranks = 2;
  EXPECT_THROW(maker(data, bad), UsageError);
  EXPECT_THROW(Loader(maker(data, options()), {.workers = 0}), UsageError);
}

}  // namespace
}  // namespace scrawl
