#pragma once
/// The project's two networks, a CRNN and a CNN of convolutions that are pooled, in small.

#include <random>
#include <string>

#include "models/recipe.h"
#include "models/recognizer.h"

namespace scrawl::testing {

inline constexpr int classes = 7, batch = 3, longest = 4;

/// Channels beside the tensor cores' vectors.
inline const std::string tiny_crnn = R"(
name = "tiny"
[input]
height = 8
width = 16
fit = "left"
[data]
labels = "text"
[network]
layers = [
  { type = "conv", filters = 16, kernel = 3, padding = "same", bias = false },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = 2 },
  { type = "conv", filters = 5, kernel = 3, padding = "same" },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = [2, 1] },
  { type = "dropout", rate = 0.25 },
  { type = "columns" }, { type = "dense", units = 12 }, { type = "relu" },
  { type = "lstm", units = 9 }, { type = "lstm", units = 8, bidirectional = false }, { type = "classes" },
]
)";

inline const std::string tiny_cnn = R"(
name = "tiny-cnn"
[input]
height = 16
width = 16
channels = 3
[network]
layers = [
  { type = "conv", filters = 32, kernel = 5 }, { type = "relu" }, { type = "max_pool" },
  { type = "conv", filters = 16, kernel = 3 }, { type = "relu" }, { type = "max_pool" },
  { type = "flatten" }, { type = "dense", units = 20 }, { type = "relu" }, { type = "dense", units = 10 },
  { type = "sigmoid" }, { type = "classes" },
]
)";

/// Channels in whole vectors, and an LSTM that stays on the GPU.
inline const std::string even_crnn = R"(
name = "tiny"
[input]
height = 8
width = 16
fit = "left"
[data]
labels = "text"
[network]
layers = [
  { type = "conv", filters = 8, kernel = 3, padding = "same", bias = false },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = 2 },
  { type = "conv", filters = 16, kernel = 3, padding = "same" },
  { type = "batch_norm" }, { type = "relu" }, { type = "max_pool", window = [2, 1] },
  { type = "dropout", rate = 0.25 },
  { type = "columns" }, { type = "dense", units = 16 }, { type = "relu" },
  { type = "lstm", units = 16 }, { type = "classes" },
]
)";

/// Images and labels that are the same for all backends.
inline Batch some_batch(const Recipe& recipe, std::int64_t width) {
  std::mt19937 random(11);
  const auto& in = recipe.input;
  Batch made{.n = batch, .h = in.height, .w = width ? static_cast<int>(width) : in.width, .c = in.channels};
  made.pixels.resize(static_cast<std::size_t>(made.n * made.h * made.w * made.c));
  for (auto& pixel : made.pixels) pixel = static_cast<std::uint8_t>(random() % 256);
  const bool text = recipe.target == Target::sequence;
  made.labels = text ? std::vector<std::int32_t>{1, 2, 2, 3, 4, 5, 6, 1} : std::vector<std::int32_t>{1, 6, 0};
  made.label_lengths = text ? std::vector<std::int32_t>{3, 1, 4} : std::vector<std::int32_t>{1, 1, 1};
  return made;
}

}  // namespace scrawl::testing
