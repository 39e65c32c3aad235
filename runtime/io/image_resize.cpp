#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/io/image.h"

namespace scrawl {
namespace {

/// One axis of a separable resampling: output i is the sum of weights[first[i] .. first[i + 1]) times the
/// inputs from start[i] on.
struct Taps {
  std::vector<int> start;
  std::vector<std::size_t> first{0};
  std::vector<float> weights;

  Taps(int in, int out) {
    const double scale = static_cast<double>(in) / out;
    const double reach = std::max(1.0, scale);  // half width of the triangle, in input pixels
    for (int i = 0; i < out; ++i) {
      const double centre = (i + 0.5) * scale - 0.5;
      const int from = std::max(0, static_cast<int>(std::ceil(centre - reach)));
      const int to = std::min(in - 1, static_cast<int>(std::floor(centre + reach)));
      start.push_back(from);
      double sum = 0;
      for (int j = from; j <= to; ++j) sum += 1 - std::abs(j - centre) / reach;
      for (int j = from; j <= to; ++j)
        weights.push_back(static_cast<float>((1 - std::abs(j - centre) / reach) / sum));
      first.push_back(weights.size());
    }
  }
};

}  // namespace

Image resize(Image image, ImageSize size) {
  if (size.width == image.width && size.height == image.height) return image;
  const Taps across(image.width, size.width), down(image.height, size.height);
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto n = static_cast<std::size_t>(size.width) * channels;  // values of a row of the result

  std::vector<float> narrow(static_cast<std::size_t>(image.height) *
                            n);  // (image.height, size.width, channels)
  float* value = narrow.data();
  for (int y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < across.start.size(); ++x)
      for (std::size_t c = 0; c < channels; ++c, ++value) {
        const std::uint8_t* in = image.row(y) + static_cast<std::size_t>(across.start[x]) * channels + c;
        for (std::size_t tap = across.first[x]; tap < across.first[x + 1]; ++tap, in += channels)
          *value += across.weights[tap] * static_cast<float>(*in);
      }

  Image out = make_image(size.width, size.height, image.channels);
  std::vector<float> sum(n);
  for (int y = 0; y < size.height; ++y) {
    const auto row = static_cast<std::size_t>(y);
    std::ranges::fill(sum, 0.5f);  // rounds
    const float* in = narrow.data() + static_cast<std::size_t>(down.start[row]) * n;
    for (std::size_t tap = down.first[row]; tap < down.first[row + 1]; ++tap, in += n)
      for (std::size_t i = 0; i < n; ++i) sum[i] += down.weights[tap] * in[i];
    std::ranges::transform(sum, out.row(y),
                           [](float v) { return static_cast<std::uint8_t>(std::min(v, 255.0f)); });
  }
  return out;
}

}  // namespace scrawl
