#pragma once
/// NHWC images, shared out among blocks: a block has a stretch of pixels that lie together, and as many
/// channels as its lanes reach across. A lane has the same channels, a vector of them, at every pixel it
/// comes to, so what belongs to channels stays in its registers.

#include <algorithm>

#include "kernels/cuda/device/divisor.h"
#include "kernels/cuda/elements.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/widths.h"

namespace SCRAWL_CUDA {

/// Pixels of N images of H x W, in vectors of channels.
struct ImageBlocks {
  static constexpr int threads = 256;
  static constexpr int most_lanes = 64;         ///< across channels
  static constexpr int per_multiprocessor = 6;  ///< whole waves of two blocks at once, or of three
  static constexpr int least = 4;               ///< pixels of a lane, where there are enough
  static constexpr std::int64_t longest = std::int64_t{1} << 30;  ///< stretch: lanes count in 32 bits

  int channels, vector, vectors;  ///< of a pixel; a vector has `vector` channels
  int lanes, rows;                ///< of a block: vectors of a pixel, and pixels at once
  int tiles;                      ///< blocks across a pixel
  int parts;                      ///< stretches
  std::int64_t pixels, stretch;
  Divisor height, width;

  ImageBlocks(std::int64_t images, std::int64_t channels_of_pixel, std::int64_t h, std::int64_t w,
              int channels_of_vector, int multiprocessors)
      : channels(static_cast<int>(channels_of_pixel)),
        vector(channels_of_vector),
        vectors(channels / vector),
        lanes(std::max(1, ceil_of(vectors, std::max(1, ceil_of(vectors, most_lanes))))),
        rows(threads / lanes),
        tiles(ceil_of(vectors, lanes)),
        pixels(images * h * w),
        height(std::max<std::int64_t>(h, 1)),
        width(std::max<std::int64_t>(w, 1)) {
    const std::int64_t enough = std::max(1, multiprocessors * per_multiprocessor / std::max(1, tiles));
    const auto each_lane = ceil_of<std::int64_t>(pixels, std::int64_t{rows} * least);
    const auto wanted = std::max(ceil_of(pixels, longest), std::min(each_lane, enough));
    stretch = wanted > 0 ? ceil_of(pixels, wanted) : 1;
    parts = static_cast<int>(ceil_of(pixels, stretch));
  }

  /// The pixels of images of one shape.
  ImageBlocks(const Shape& image, int channels_of_vector, int multiprocessors)
      : ImageBlocks(image[0], image[1], image[2], image[3], channels_of_vector, multiprocessors) {}

  Dim blocks() const { return {blocks_for(std::int64_t{parts} * tiles, 1)}; }

 private:
  template <class Int>
  static Int ceil_of(Int a, Int b) {
    return (a + b - 1) / b;
  }
};

struct Pixel {
  std::int64_t n;
  int h, w;
};

/// What a lane has of them: pixels row, row + rows, ... below count of its stretch; none if it has no
/// channels.
struct OwnPixels {
  const ImageBlocks& blocks;
  int lane, row, part;
  int channel;  ///< the first of the lane's
  bool has_channels;
  std::int64_t first;
  int count;

  SCRAWL_DEVICE explicit OwnPixels(const ImageBlocks& of) : blocks(of) {
    const auto block = static_cast<int>(block_index().x);
    row = thread_index() / of.lanes;
    lane = thread_index() - row * of.lanes;
    part = block / of.tiles;
    const int vector = (block - part * of.tiles) * of.lanes + lane;
    channel = vector * of.vector;
    has_channels = row < of.rows && vector < of.vectors;
    first = part * of.stretch;
    const auto rest = of.pixels - first;
    count = !has_channels ? 0 : static_cast<int>(rest < of.stretch ? rest : of.stretch);
  }

  /// Where the lane's channels of pixel i of the stretch lie.
  SCRAWL_DEVICE std::int64_t offset(int i) const { return (first + i) * blocks.channels + channel; }
};

/// Where the pixels of a stretch lie in their images.
class Raster {
 public:
  SCRAWL_DEVICE explicit Raster(const OwnPixels& own) : blocks_(own.blocks) {
    const auto line = blocks_.width.quotient_of_any(own.first);
    w_ = static_cast<int>(own.first - line * blocks_.width.divisor);
    n_ = blocks_.height.quotient_of_any(line);
    h_ = static_cast<int>(line - n_ * blocks_.height.divisor);
  }

  SCRAWL_DEVICE Pixel operator[](int i) const {
    const int lines = blocks_.width.quotient(w_ + i), images = blocks_.height.quotient(h_ + lines);
    return {n_ + images, h_ + lines - images * static_cast<int>(blocks_.height.divisor),
            w_ + i - lines * static_cast<int>(blocks_.width.divisor)};
  }

 private:
  const ImageBlocks& blocks_;
  std::int64_t n_;
  int h_, w_;
};

/// Whether pixels of a stretch are valid.
struct Validity {
  Raster raster;
  Widths widths;

  SCRAWL_DEVICE Validity(const OwnPixels& own, const Widths& of) : raster(own), widths(of) {}
  SCRAWL_DEVICE bool operator[](int i) const {
    if (!widths.each) return true;
    const auto pixel = raster[i];
    return pixel.w < widths[pixel.n];
  }
};

/// Pixels of a lane that are loaded before the first is looked at: 64 bytes of one operand, or what single
/// elements can have.
template <int kVector>
inline constexpr int pixels_in_flight = kVector == 1 ? 8 : 4;

/// Calls use(i, load(i)) for each pixel i of a lane, kInFlight loads at a time before what they are used for.
template <int kInFlight, class Load, class Use>
SCRAWL_DEVICE void each_pixel(const OwnPixels& own, Load load, Use use) {
  for (int first = own.row; first < own.count; first += own.blocks.rows * kInFlight) {
    decltype(load(first)) loaded[kInFlight];
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = first + k * own.blocks.rows;
      if (i < own.count) loaded[k] = load(i);
    }
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int i = first + k * own.blocks.rows;
      if (i < own.count) use(i, loaded[k]);
    }
  }
}

/// What is loaded of a pixel, if it is valid.
template <class Operands>
struct Loaded {
  bool is_valid;
  Operands operands;
};

/// Those of x at pixel i of a stretch.
template <int kVector, class T>
SCRAWL_DEVICE Loaded<Stored<T, kVector>> load_valid(const T* x, const OwnPixels& own, const Validity& valid,
                                                    int i) {
  Loaded<Stored<T, kVector>> pixel;
  pixel.is_valid = valid[i];
  if (pixel.is_valid) pixel.operands = load_stored<kVector>(x + own.offset(i));
  return pixel;
}

/// Calls f<T, kVector>(): with whole vectors of channels where they and memory allow.
template <class F, class... Views>
void dispatch_channels(F&& f, const View& x, const Views&... others) {
  dispatch_storage(x.type, [&]<class T>() {
    if (x.shape[1] % full_vector<T> == 0 && are_vector_aligned(x, others...))
      f.template operator()<T, full_vector<T>>();
    else
      f.template operator()<T, 1>();
  });
}

}  // namespace SCRAWL_CUDA
