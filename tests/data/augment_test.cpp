#include "models/data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/error.h"

namespace scrawl {
namespace {

using Pixels = std::vector<std::uint8_t>;

constexpr PreparedShape square{.height = 28, .width = 28, .valid_width = 28};

/// A filled square of ink in the middle.
Pixels blot() {
  Pixels pixels(28 * 28, 0);
  for (std::size_t y = 10; y < 18; ++y)
    for (std::size_t x = 10; x < 18; ++x) pixels[y * 28 + x] = 255;
  return pixels;
}

Pixels augmented(const Pixels& in, const PreparedShape& shape, const Augmentation& augmentation,
                 std::uint64_t seed, std::int64_t sample) {
  Pixels out(in.size(), 99);
  augment(in, shape, augmentation, seed, sample, out);
  return out;
}

std::int64_t ink(const Pixels& pixels) {
  return std::accumulate(pixels.begin(), pixels.end(), std::int64_t{0});
}

const Augmentation everything{.rotate = 10,
                              .shear = 0.2,
                              .scale = 0.1,
                              .shift = 0.1,
                              .elastic = 0.03,
                              .stroke = 0.5,
                              .brightness = 0.3};

TEST(augment, without_extents_changes_nothing) { EXPECT_EQ(augmented(blot(), square, {}, 1, 5), blot()); }

TEST(augment, is_a_function_of_seed_and_sample) {
  const Pixels first = augmented(blot(), square, everything, 1, 5);
  EXPECT_EQ(augmented(blot(), square, everything, 1, 5), first);
  EXPECT_NE(augmented(blot(), square, everything, 1, 6), first);
  EXPECT_NE(augmented(blot(), square, everything, 2, 5), first);
  EXPECT_NE(augmented(blot(), square, everything, 1, 5 + (std::int64_t{1} << 32)), first);
}

TEST(augment, each_extent_alone_has_an_effect) {
  for (const AugmentationExtent& extent : augmentation_extents) {
    Augmentation one;
    one.*extent.value = extent.name == "rotate" ? 20.0 : 0.3;
    EXPECT_NE(augmented(blot(), square, one, 1, 0), blot()) << extent.name;
  }
}

TEST(augment, shift_moves_ink_without_losing_it) {
  const Pixels moved = augmented(blot(), square, {.shift = 0.2}, 1, 0);
  EXPECT_NEAR(static_cast<double>(ink(moved)), static_cast<double>(ink(blot())),
              64);  // rounding of 81 edge pixels
}

TEST(augment, stroke_thickens_or_thins) {
  int thicker = 0, thinner = 0;
  for (std::int64_t sample = 0; sample < 40; ++sample) {
    const auto difference = ink(augmented(blot(), square, {.stroke = 1}, 1, sample)) - ink(blot());
    thicker += difference > 0;
    thinner += difference < 0;
  }
  EXPECT_GT(thicker, 5);
  EXPECT_GT(thinner, 5);
}

TEST(augment, scaling_keeps_the_ends_of_a_line) {
  const PreparedShape line{.height = 16, .width = 400, .valid_width = 400};
  Pixels pixels(16 * 400, 0);
  for (const std::size_t x : {10u, 389u})
    for (std::size_t y = 6; y < 10; ++y) pixels[y * 400 + x] = 255;
  for (std::int64_t sample = 0; sample < 50; ++sample) {
    const Pixels out = augmented(pixels, line, {.scale = 0.3}, 1, sample);
    for (const std::size_t from : {0u, 200u}) {
      std::int64_t ink = 0;
      for (std::size_t y = 0; y < 16; ++y)
        for (std::size_t x = from; x < from + 200; ++x) ink += out[y * 400 + x];
      ASSERT_GT(ink, 0) << "sample " << sample << ", half from " << from;
    }
  }
}

TEST(augment, padding_stays_paper) {
  const PreparedShape line{.height = 8, .width = 20, .channels = 3, .valid_width = 11};
  Pixels full(8 * 20 * 3, 0);
  for (std::size_t y = 0; y < 8; ++y)
    for (std::size_t i = 0; i < 33; ++i) full[y * 60 + i] = 255;
  for (std::int64_t sample = 0; sample < 50; ++sample) {
    const Pixels out = augmented(full, line, everything, 3, sample);
    for (std::size_t y = 0; y < 8; ++y)
      for (std::size_t i = 33; i < 60; ++i) ASSERT_EQ(out[y * 60 + i], 0);
  }
}

TEST(augment, colours_move_together) {
  const PreparedShape shape{.height = 28, .width = 28, .channels = 3, .valid_width = 28};
  Pixels colour;
  for (const std::uint8_t value : blot()) colour.insert(colour.end(), 3, value);
  const Pixels gray = augmented(blot(), square, everything, 1, 7);
  const Pixels out = augmented(colour, shape, everything, 1, 7);
  for (std::size_t i = 0; i < gray.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(out[3 * i + c], gray[i]);
}

TEST(augment, extents_are_positive_and_bounded) {
  for (const AugmentationExtent& extent : augmentation_extents) {
    Augmentation one;
    one.*extent.value = extent.limit;
    EXPECT_NO_THROW(check(one)) << extent.name;
    for (const double bad : {-0.01, 1.01 * extent.limit, std::nan("")}) {
      one.*extent.value = bad;
      EXPECT_THROW(check(one), UsageError) << extent.name << " " << bad;
    }
  }
}

}  // namespace
}  // namespace scrawl
