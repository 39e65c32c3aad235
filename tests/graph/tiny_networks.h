#pragma once
/// The project's two networks, a CRNN and a CNN of convolutions that are pooled, in small.

#include <fmt/format.h>

#include <random>
#include <string>
#include <string_view>

#include "models/recipe.h"
#include "models/recognizer.h"

namespace scrawl::testing {

inline constexpr int classes = 7, batch = 3, longest = 4;

/// Channels of the two convolutions, units of the dense layer, and the LSTMs behind it.
inline std::string crnn_of(int first, int second, int units, std::string_view lstms) {
  return fmt::format(R"(
name = "tiny"
[input]
height = 8
width = 16
fit = "left"
[data]
labels = "text"
[network]
layers = [
  {{ type = "conv", filters = {}, kernel = 3, padding = "same", bias = false }},
  {{ type = "batch_norm" }}, {{ type = "relu" }}, {{ type = "max_pool", window = 2 }},
  {{ type = "conv", filters = {}, kernel = 3, padding = "same" }},
  {{ type = "batch_norm" }}, {{ type = "relu" }}, {{ type = "max_pool", window = [2, 1] }},
  {{ type = "dropout", rate = 0.25 }},
  {{ type = "columns" }}, {{ type = "dense", units = {} }}, {{ type = "relu" }},
  {}, {{ type = "classes" }},
]
)",
                     first, second, units, lstms);
}

/// Channels beside the tensor cores' vectors.
inline const std::string tiny_crnn = crnn_of(
    16, 5, 12, R"({ type = "lstm", units = 9 }, { type = "lstm", units = 8, bidirectional = false })");

/// Channels in whole vectors, and an LSTM that stays on the GPU.
inline const std::string even_crnn = crnn_of(8, 16, 16, R"({ type = "lstm", units = 16 })");

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
