#pragma once
/// The least network that reads text: eight frames of 8x16 pixels.

#include "models/recipe.h"

namespace scrawl::testing {

inline Recipe tiny_recipe() {
  return parse_recipe(R"(
name = "tiny"
[input]
height = 8
width = 16
[data]
labels = "text"
[network]
layers = [ { type = "conv", filters = 4, kernel = 3, padding = "same" }, { type = "max_pool", window = 2 },
           { type = "columns" }, { type = "classes" } ]
)",
                      "test");
}

}  // namespace scrawl::testing
