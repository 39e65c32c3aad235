#pragma once
/// What recipes leave to the data.

#include "models/recipe.h"

namespace scrawl::bench {

/// How many there are in the sets that the recipes are for.
inline int usual_classes(const Recipe& recipe) {
  if (recipe.target == Target::sequence) return 30;
  return recipe.name == "cnn62" ? 62 : recipe.name == "emnist" ? 47 : 10;
}

}  // namespace scrawl::bench
