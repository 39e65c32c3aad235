#pragma once
/// What recipes leave to the data: how many classes, and how long labels are.

#include "models/recipe.h"

namespace scrawl::bench {

inline constexpr std::int64_t longest_label = 24;

/// Of the sets that the recipes are for.
inline int usual_classes(const Recipe& recipe) {
  if (recipe.target == Target::sequence) return 30;
  return recipe.name == "cnn62" ? 62 : recipe.name == "emnist" ? 47 : 10;
}

}  // namespace scrawl::bench
