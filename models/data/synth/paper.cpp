#include "models/data/synth/paper.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace scrawl::synth {
namespace {

// Deviations and limits at strength 1, in parts of white unless said otherwise.
constexpr float darkest_paper = 0.80f;
constexpr float lightest_ink = 0.42f;
constexpr float gradient = 0.10f;
constexpr float texture = 0.02f;
constexpr float ink_unevenness = 0.10f;
constexpr float ruled_share = 0.15f;  // of images
constexpr float max_blur = 0.055f;    // deviation, in x-heights
constexpr float max_noise = 0.03f;

/// Gray values, or parts of one, of an image: (height, width).
using Plane = std::vector<float>;

/// Smooth noise of mean 0 and about unit height: random values on a grid of `cell` pixels, blended linearly.
class SmoothNoise {
 public:
  SmoothNoise(ImageSize size, float cell, Draws& draws)
      : cell_(cell), columns_(static_cast<int>(static_cast<float>(size.width) / cell) + 2) {
    const int rows = static_cast<int>(static_cast<float>(size.height) / cell) + 2;
    values_.resize(static_cast<std::size_t>(columns_) * rows);
    for (float& value : values_) value = draws.normal();
  }

  /// Adds `amount` of the noise at each pixel of row y.
  void add_row(int y, float amount, std::span<float> row) const {
    const float gy = static_cast<float>(y) / cell_;
    const int top = static_cast<int>(gy);
    const float fy = gy - static_cast<float>(top);
    const float* upper = values_.data() + static_cast<std::size_t>(top) * columns_;
    const float* lower = upper + columns_;
    for (std::size_t x = 0; x < row.size(); ++x) {
      const float gx = static_cast<float>(x) / cell_;
      const auto left = static_cast<std::size_t>(gx);
      const float fx = gx - static_cast<float>(left);
      const float a = upper[left] + fx * (upper[left + 1] - upper[left]);
      const float b = lower[left] + fx * (lower[left + 1] - lower[left]);
      row[x] += amount * (a + fy * (b - a));
    }
  }

 private:
  float cell_;
  int columns_;
  std::vector<float> values_;
};

std::span<float> row_of(Plane& plane, ImageSize size, int y) {
  return {plane.data() + static_cast<std::size_t>(y) * size.width, static_cast<std::size_t>(size.width)};
}

void rule_lines(Plane& paper, ImageSize size, Draws& draws) {
  const auto height = static_cast<float>(size.height);
  const float spacing = height * draws.uniform(0.5f, 1.0f);
  const float thickness = height / 32 * draws.uniform(0.6f, 1.4f);
  const float darkness = draws.uniform(0.08f, 0.3f);
  const float tilt = draws.normal() * 0.01f;
  const float first = spacing * draws.uniform();
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x) {
      const float at = static_cast<float>(y) - first + tilt * static_cast<float>(x);
      const float distance = std::abs(at - spacing * std::round(at / spacing));
      const float covered = std::clamp(thickness / 2 + 0.5f - distance, 0.0f, 1.0f);
      paper[static_cast<std::size_t>(y) * size.width + x] -= darkness * covered;
    }
}

/// Paper before anyone wrote on it.
Plane blank_sheet(ImageSize size, float strength, Draws& draws) {
  const float shade = std::max(1 - strength * (1 - darkest_paper) * draws.uniform(), 0.3f);
  const float along = strength * gradient * draws.uniform(-1, 1);
  const float down = strength * gradient * draws.uniform(-1, 1);
  const float cell = static_cast<float>(size.height) / 32 * draws.uniform(2.0f, 10.0f);
  const SmoothNoise fibres(size, cell, draws);
  const float amount = strength * texture * draws.uniform();

  Plane paper(static_cast<std::size_t>(size.width) * size.height);
  for (int y = 0; y < size.height; ++y) {
    const auto row = row_of(paper, size, y);
    const float v = static_cast<float>(y) / static_cast<float>(size.height) - 0.5f;
    for (std::size_t x = 0; x < row.size(); ++x) {
      const float u = static_cast<float>(x) / static_cast<float>(size.width) - 0.5f;
      row[x] = shade + along * u + down * v;
    }
    fibres.add_row(y, amount, row);
  }
  if (draws.chance(ruled_share * strength)) rule_lines(paper, size, draws);
  return paper;
}

void apply_ink(Plane& paper, const Coverage& coverage, float strength, Draws& draws) {
  const ImageSize size = coverage.size;
  const float level = std::min(strength * lightest_ink * draws.uniform(), 0.6f);
  const float unevenness = strength * ink_unevenness * draws.uniform();
  const SmoothNoise flow(size, static_cast<float>(size.height) / 32 * draws.uniform(3.0f, 12.0f), draws);
  Plane ink(static_cast<std::size_t>(size.width));
  for (int y = 0; y < size.height; ++y) {
    std::ranges::fill(ink, level);
    flow.add_row(y, unevenness, ink);
    const auto row = row_of(paper, size, y);
    const std::uint8_t* covered = coverage.pixels.data() + static_cast<std::size_t>(y) * size.width;
    for (std::size_t x = 0; x < row.size(); ++x) {
      const float part = static_cast<float>(covered[x]) / 255;
      row[x] += part * (std::min(ink[x], 0.7f) * row[x] - row[x]);
    }
  }
}

/// Convolves with a Gaussian, rows, then columns; edges repeat.
void blur(Plane& plane, ImageSize size, float deviation) {
  constexpr float negligible = 0.2f;  // pixels
  if (deviation < negligible) return;
  const int radius = static_cast<int>(std::ceil(2.5f * deviation));
  std::vector<float> weights;
  float sum = 0;
  for (int i = -radius; i <= radius; ++i) {
    const float z = static_cast<float>(i) / deviation;
    weights.push_back(std::exp(-z * z / 2));
    sum += weights.back();
  }
  for (float& weight : weights) weight /= sum;

  Plane padded(static_cast<std::size_t>(size.width + 2 * radius));
  for (int y = 0; y < size.height; ++y) {
    const auto row = row_of(plane, size, y);
    std::fill_n(padded.begin(), radius, row.front());
    std::ranges::copy(row, padded.begin() + radius);
    std::fill_n(padded.end() - radius, radius, row.back());
    std::ranges::fill(row, 0.0f);
    for (std::size_t i = 0; i < weights.size(); ++i)
      for (std::size_t x = 0; x < row.size(); ++x) row[x] += weights[i] * padded[x + i];
  }
  const Plane rows = plane;
  std::ranges::fill(plane, 0.0f);
  for (int y = 0; y < size.height; ++y) {
    const auto out = row_of(plane, size, y);
    for (int i = -radius; i <= radius; ++i) {
      const int from = std::clamp(y + i, 0, size.height - 1);
      const float* in = rows.data() + static_cast<std::size_t>(from) * size.width;
      const float weight = weights[static_cast<std::size_t>(i + radius)];
      for (std::size_t x = 0; x < out.size(); ++x) out[x] += weight * in[x];
    }
  }
}

}  // namespace

Image draw_on_paper(const Coverage& coverage, float strength, Draws& draws, Draws& grain) {
  const ImageSize size = coverage.size;
  Plane plane = blank_sheet(size, strength, draws);
  apply_ink(plane, coverage, strength, draws);
  blur(plane, size, strength * max_blur * draws.uniform() * coverage.x_height);

  const float noise = strength * max_noise * draws.uniform();
  Image image = make_image(size.width, size.height, 1);
  for (std::size_t i = 0; i < plane.size(); ++i) {
    const float value = plane[i] + noise * grain.normal();
    image.pixels[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255 + 0.5f);
  }
  return image;
}

}  // namespace scrawl::synth
