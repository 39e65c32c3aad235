/// A network in use.

#include "models/recognizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/backend.h"
#include "tests/graph/test_device.h"
#include "tests/graph/tiny_recipe.h"

namespace scrawl {
namespace {

// Eight frames spell "abc" but never nine characters: a loss of 0 would make such samples look perfect.
TEST(recognizer, the_loss_of_a_label_that_no_path_can_spell_is_infinite) {
  const auto recipe = testing::tiny_recipe();
  const Alphabet alphabet({"a", "b", "c"}, Target::sequence);
  const auto device = testing::host_device(cpu::backend());
  Storage storage(*device);
  Arena arena(*device);
  initialize(storage, build_network(recipe, alphabet.classes(), {}, NetworkUse::prediction, DType::f32), 1);
  Recognizer recognizer(*device, storage, arena, recipe, alphabet, Precision::f32);

  const auto short_label = alphabet.encode("abc"), long_label = alphabet.encode("abcabcabc");
  Batch batch{.n = 2, .h = 8, .w = 16, .c = 1};
  batch.pixels.assign(2 * 8 * 16, 7);
  batch.widths = {16, 16};
  batch.labels = short_label;
  batch.labels.insert(batch.labels.end(), long_label.begin(), long_label.end());
  batch.label_lengths = {3, 9};
  const auto readings = recognizer.read(batch, NetworkUse::evaluation);
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_TRUE(std::isfinite(readings[0].loss));
  EXPECT_GT(readings[0].loss, 0);
  EXPECT_EQ(readings[1].loss, INFINITY);
}

}  // namespace
}  // namespace scrawl
