#include "bench/random_batch.h"

#include <algorithm>
#include <random>

namespace scrawl::bench {

Batch random_batch(const Recipe& recipe, int classes, int batch, std::int64_t frames) {
  std::mt19937 random(1);
  Batch b{.n = batch, .h = recipe.input.height, .w = recipe.input.width, .c = recipe.input.channels};
  b.pixels.resize(static_cast<std::size_t>(batch) * recipe.input.bytes());
  for (auto& p : b.pixels) p = static_cast<std::uint8_t>(random());
  b.widths.assign(static_cast<std::size_t>(batch), recipe.input.width);
  const bool is_sequence = recipe.target == Target::sequence;
  const auto longest = std::min<std::int64_t>(longest_random_label, frames * 3 / 8);
  for (int n = 0; n < batch; ++n) {
    const int length = is_sequence ? static_cast<int>(1 + random() % longest) : 1;
    b.label_lengths.push_back(length);
    const int first = is_sequence ? 1 : 0;
    for (int i = 0; i < length; ++i)
      b.labels.push_back(first + static_cast<int>(random() % static_cast<unsigned>(classes - first)));
  }
  return b;
}

}  // namespace scrawl::bench
