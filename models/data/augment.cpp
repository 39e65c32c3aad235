#include "models/data/augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/error.h"
#include "models/data/draws.h"

namespace scrawl {
namespace {

struct Point {
  float x = 0, y = 0;
};

/// Where the pixel (x, y) of the result comes from: linear * (p - centre) + centre + shift.
struct Affine {
  float xx = 1, xy = 0, yx = 0, yy = 1;
  Point offset;

  Point at(float x, float y) const { return {xx * x + xy * y + offset.x, yx * x + yy * y + offset.y}; }
};

Affine draw_affine(const PreparedShape& shape, const Augmentation& augmentation, Draws& draws) {
  const float angle = draws.around_zero(augmentation.rotate * std::numbers::pi / 180);
  const float shear = draws.around_zero(augmentation.shear);
  const float wider = draws.around_zero(augmentation.scale);
  const float room = std::min(1.0f, static_cast<float>(shape.height) / static_cast<float>(shape.valid_width));
  const float sx = 1.0f / (1.0f + (wider > 0 ? wider * room : wider));
  const float sy = 1.0f / (1.0f + draws.around_zero(augmentation.scale));
  const float tx = draws.around_zero(augmentation.shift * shape.height);
  const float ty = draws.around_zero(augmentation.shift * shape.height);
  const float c = std::cos(angle), s = std::sin(angle);
  // Rotation after slant after scaling: [c -s; s c] [1 shear; 0 1] [sx 0; 0 sy].
  Affine map{.xx = c * sx, .xy = (c * shear - s) * sy, .yx = s * sx, .yy = (s * shear + c) * sy};
  const Point centre{0.5f * static_cast<float>(shape.valid_width - 1),
                     0.5f * static_cast<float>(shape.height - 1)};
  map.offset = {centre.x + tx - map.xx * centre.x - map.xy * centre.y,
                centre.y + ty - map.yx * centre.x - map.yy * centre.y};
  return map;
}

/// Random displacements at the nodes of a grid of about a third of the height, bilinear between them.
class Elastic {
 public:
  Elastic(const PreparedShape& shape, double extent, Draws& draws)
      : cell_(std::max(1.0f, static_cast<float>(shape.height) / 3.0f)),
        columns_(static_cast<int>(static_cast<float>(shape.width) / cell_) + 2),
        rows_(static_cast<int>(static_cast<float>(shape.height) / cell_) + 2),
        nodes_(static_cast<std::size_t>(columns_ * rows_)),
        line_(static_cast<std::size_t>(columns_)) {
    for (Point& node : nodes_)
      node = {draws.around_zero(extent * shape.height), draws.around_zero(extent * shape.height)};
  }

  /// Interpolates the nodes along y, so that `at` has one axis left.
  void start_row(int y) {
    const float v = static_cast<float>(y) / cell_;
    const int row = static_cast<int>(v);
    for (int i = 0; i < columns_; ++i)
      line_[static_cast<std::size_t>(i)] = mix(node(i, row), node(i, row + 1), v - static_cast<float>(row));
  }

  Point at(int x) const {
    const float u = static_cast<float>(x) / cell_;
    const auto column = static_cast<std::size_t>(u);
    return mix(line_[column], line_[column + 1], u - static_cast<float>(column));
  }

 private:
  static Point mix(Point a, Point b, float t) { return {a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)}; }
  Point node(int i, int j) const { return nodes_[static_cast<std::size_t>(j * columns_ + i)]; }

  float cell_;
  int columns_, rows_;
  std::vector<Point> nodes_;
  std::vector<Point> line_;
};

/// Rounds down; std::floor is a call where the processor's rounding instruction may not be assumed.
int round_down(float value) {
  const int towards_zero = static_cast<int>(value);
  return towards_zero - (value < static_cast<float>(towards_zero));
}

/// Bilinear sample of channel c, paper outside.
float sample(const std::uint8_t* in, const PreparedShape& shape, Point p, int c) {
  const int x = round_down(p.x), y = round_down(p.y);
  if (x < -1 || y < -1 || x >= shape.valid_width || y >= shape.height) return 0;
  const float u = p.x - static_cast<float>(x), v = p.y - static_cast<float>(y);
  const int pitch = shape.width * shape.channels;
  const int pixel = y * pitch + x * shape.channels + c;  // of the upper left of four; may lie outside
  const bool left = x >= 0, right = x + 1 < shape.valid_width, top = y >= 0, bottom = y + 1 < shape.height;
  const float a = left && top ? in[pixel] : 0, b = right && top ? in[pixel + shape.channels] : 0;
  const float d = left && bottom ? in[pixel + pitch] : 0,
              e = right && bottom ? in[pixel + pitch + shape.channels] : 0;
  const float above = a + u * (b - a), below = d + u * (e - d);
  return above + v * (below - above);
}

/// Moves each pixel by `amount` (-1 .. 1) of the way to the least (erosion) or greatest (dilation) of its 3x3
/// neighbours within the valid part.
void change_stroke(std::span<std::uint8_t> pixels, const PreparedShape& shape, float amount) {
  const auto extreme = [amount](std::uint8_t a, std::uint8_t b) {
    return amount > 0 ? std::max(a, b) : std::min(a, b);
  };
  const int n = shape.valid_width * shape.channels, pitch = shape.width * shape.channels, c = shape.channels;
  std::vector<std::uint8_t> across(pixels.begin(), pixels.end());  // extreme of the row's neighbours
  for (int y = 0; y < shape.height; ++y) {
    const std::uint8_t* in = pixels.data() + static_cast<std::ptrdiff_t>(y) * pitch;
    std::uint8_t* out = across.data() + static_cast<std::ptrdiff_t>(y) * pitch;
    for (int i = c; i < n; ++i) out[i] = extreme(out[i], in[i - c]);
    for (int i = 0; i < n - c; ++i) out[i] = extreme(out[i], in[i + c]);
  }
  const int weight = static_cast<int>(std::lround(std::abs(amount) * 256));
  for (int y = 0; y < shape.height; ++y) {
    const std::uint8_t* middle = across.data() + static_cast<std::ptrdiff_t>(y) * pitch;
    const std::uint8_t* above = y > 0 ? middle - pitch : middle;
    const std::uint8_t* below = y + 1 < shape.height ? middle + pitch : middle;
    std::uint8_t* out = pixels.data() + static_cast<std::ptrdiff_t>(y) * pitch;
    for (int i = 0; i < n; ++i) {
      const int target = extreme(extreme(above[i], below[i]), middle[i]);
      out[i] = static_cast<std::uint8_t>(out[i] + (target - out[i]) * weight / 256);
    }
  }
}

}  // namespace

void check(const Augmentation& augmentation) {
  for (const AugmentationExtent& extent : augmentation_extents)
    if (const double value = augmentation.*extent.value; !(value >= 0 && value <= extent.limit))
      throw UsageError("augment.{}: expected 0 to {}, got {}", extent.name, extent.limit, value);
}

void augment(std::span<const std::uint8_t> in, const PreparedShape& shape, const Augmentation& augmentation,
             std::uint64_t seed, std::int64_t global_sample, std::span<std::uint8_t> out) {
  Draws draws(seed, Draws::Purpose::augment, static_cast<std::uint64_t>(global_sample));
  const Affine affine = draw_affine(shape, augmentation, draws);
  const float stroke = draws.around_zero(augmentation.stroke);
  const float gain = 1.0f - static_cast<float>(augmentation.brightness) * uniform01(draws.next());
  Elastic elastic(shape, augmentation.elastic, draws);

  std::ranges::fill(out, std::uint8_t{0});
  for (int y = 0; y < shape.height; ++y) {
    elastic.start_row(y);
    std::uint8_t* row = out.data() + static_cast<std::ptrdiff_t>(y) * shape.width * shape.channels;
    for (int x = 0; x < shape.valid_width; ++x) {
      const Point bend = elastic.at(x);
      const Point from = affine.at(static_cast<float>(x) + bend.x, static_cast<float>(y) + bend.y);
      for (int c = 0; c < shape.channels; ++c)
        *row++ = static_cast<std::uint8_t>(gain * sample(in.data(), shape, from, c) + 0.5f);
    }
  }
  if (stroke != 0) change_stroke(out, shape, stroke);
}

}  // namespace scrawl
