#pragma once
/// Image operands as our own kernels walk them: channel vectors with their memory, in any placement that has
/// them, whatever the number of channels.

#include <algorithm>

#include "kernels/cpu/layout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

/// Sixteen channels of one image, pixel by pixel.
template <class T>
struct Plane {
  T* data;
  std::int64_t row_stride, pixel_stride;
  int count;     ///< lanes in memory, the others read as zeros
  int channels;  ///< lanes that are channels, the others hold zeros

  [[gnu::always_inline]] T* at(std::int64_t h, std::int64_t w) const {
    return data + h * row_stride + w * pixel_stride;
  }
  [[gnu::always_inline]] auto load(std::int64_t h, std::int64_t w) const {
    return cpu::load(at(h, w), count);
  }
  template <class Vector>
  [[gnu::always_inline]] void store(std::int64_t h, std::int64_t w, Vector value) const {
    cpu::store(at(h, w), value, count);
  }
  /// Writes zeros to columns [from, to) of a row.
  void zero(std::int64_t h, std::int64_t from, std::int64_t to) const {
    for (auto w = from; w < to; ++w) store(h, w, decltype(load(h, w)){});
  }
};

/// An image batch of T as vectors of 16 channels. NHWC may end in a partial vector; blocked layouts hold
/// zeros there, and are always read and written whole.
template <class T>
struct Image {
  T* data;
  ChannelVectors vectors;
  bool whole;  ///< every vector has all 16 lanes in memory

  explicit Image(const View&);

  Plane<T> plane(std::int64_t n, std::int64_t block) const {
    const auto left = vectors.channels - block * channel_lanes;
    const int channels = static_cast<int>(std::min<std::int64_t>(left, lanes));
    return {.data = data + n * vectors.image_stride + block * vectors.block_stride,
            .row_stride = vectors.row_stride,
            .pixel_stride = vectors.pixel_stride,
            .count = whole ? lanes : channels,
            .channels = channels};
  }
};

/// The strides of a view that make_readable has seen.
ChannelVectors image_vectors(const View&);

/// Leaves placements that have channel vectors alone and asks for NHWC in place of others.
void make_readable(View&);

/// Gives an image the kind of placement that another has: channel blocks, or NHWC.
void place_like(View&, const View& like);

template <class T>
Image<T>::Image(const View& view)
    : data(view.as<T>()),
      vectors(image_vectors(view)),
      whole(view.layout != nullptr || view.shape[1] % channel_lanes == 0) {}

/// Columns of sample n that are valid: all of `width` where widths are absent.
inline std::int64_t valid_width(const View& widths, std::int64_t n, std::int64_t width) {
  if (!widths.present()) return width;
  return std::clamp<std::int64_t>(widths.as<const std::int32_t>()[n], 0, width);
}

/// Calls f(n, h, block) for every row of every image. The blocks are innermost: where the channels of a pixel
/// are contiguous, the row is still in cache for the next block.
template <class F>
void each_row(int threads, const ChannelVectors& image, F&& f) {
  parallel_for(threads, image.images * image.height, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto row = begin; row < end; ++row)
      for (std::int64_t block = 0; block < image.blocks; ++block)
        f(row / image.height, row % image.height, block);
  });
}

}  // namespace scrawl::cpu
