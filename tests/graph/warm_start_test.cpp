/// Training that begins with another run's weights.

#include "models/warm_start.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/backend.h"
#include "tests/graph/test_device.h"
#include "tests/graph/tiny_recipe.h"

namespace scrawl {
namespace {

const Alphabet abc({"a", "b", "c"}, Target::sequence), cd({"c", "d"}, Target::sequence),
    digits({"0", "1"}, Target::single);

TEST(warm_start, the_policy_decides_which_alphabet_is_trained) {
  EXPECT_EQ(alphabet_for(cd, std::nullopt, AlphabetPolicy::fail), cd);
  EXPECT_EQ(alphabet_for(Alphabet({"b"}, Target::sequence), abc, AlphabetPolicy::fail), abc);
  EXPECT_THROW(alphabet_for(cd, abc, AlphabetPolicy::fail), DataError);
  EXPECT_EQ(alphabet_for(cd, abc, AlphabetPolicy::unite), Alphabet({"a", "b", "c", "d"}, Target::sequence));
  EXPECT_EQ(alphabet_for(cd, abc, AlphabetPolicy::replace), cd);
}

TEST(warm_start, weights_for_texts_are_refused_for_classes_under_every_policy) {
  for (const auto policy : {AlphabetPolicy::fail, AlphabetPolicy::unite, AlphabetPolicy::replace}) {
    EXPECT_THROW(alphabet_for(digits, abc, policy), DataError);
    EXPECT_THROW(alphabet_for(abc, digits, policy), DataError);
  }
}

/// A network that reads an alphabet, with starting values of a seed.
struct Model {
  Recipe recipe = testing::tiny_recipe();
  std::unique_ptr<Device> device = testing::host_device(cpu::backend());
  Storage storage{*device};
  Network network;

  Model(const Alphabet& alphabet, std::uint64_t seed)
      : network(build_network(recipe, alphabet.classes(), {}, NetworkUse::prediction, DType::f32)) {
    initialize(storage, network, seed);
  }

  const std::string& output() const { return recipe.layers.back().name; }
  std::vector<std::byte> row(const std::string& tensor, int c) const {
    const auto all = storage.read(tensor);
    const auto size = all.size() / static_cast<std::size_t>(storage.at(tensor).shape[0]);
    const auto* const begin = all.data() + static_cast<std::size_t>(c) * size;
    return {begin, begin + size};
  }
};

TEST(warm_start, rows_of_the_output_layer_move_with_their_symbols) {
  const Model old(abc, 1), untouched(cd, 2);
  Model now(cd, 2);
  load_weights(now.storage, now.network.graph, now.output(),
               {.tensors = weights_to_file(old.storage, old.network.graph), .metadata = {}}, abc, cd, "test");
  const auto weight = now.output() + ".weight";
  EXPECT_EQ(now.row(weight, 0), old.row(weight, 0)) << "the blank";
  EXPECT_EQ(now.row(weight, 1), old.row(weight, 3)) << "c";
  EXPECT_EQ(now.row(weight, 2), untouched.row(weight, 2)) << "d keeps its starting values";
  EXPECT_EQ(now.storage.read("conv1.weight"), old.storage.read("conv1.weight"));
}

}  // namespace
}  // namespace scrawl
