#pragma once
/// How images lie in memory on the CPU, for kernels of our own: as vectors of 16 channels.

#include <optional>
#include <span>

#include "kernels/view.h"

namespace scrawl::cpu {

inline constexpr std::int64_t channel_lanes = 16;

/// An image batch seen as 16-channel vectors, whatever its layout: blocked (nChw16c), where a vector's
/// neighbour along W is the next 16 elements, or NHWC, where it is C elements on. Strides in elements.
/// The channel vector (n, block, h, w) starts at
///   n * image_stride + block * block_stride + h * row_stride + w * pixel_stride.
struct ChannelVectors {
  std::int64_t images, channels, height, width;
  std::int64_t blocks;  ///< ceil(channels / 16); a blocked layout holds zeros past `channels`
  std::int64_t image_stride, block_stride, row_stride, pixel_stride;
};

/// None for a layout that is neither, or for NHWC whose channels are no multiple of 16.
std::optional<ChannelVectors> channel_vectors(const View&);

/// Asks for the image's placement as nChw16c (the channels padded with zeros to a multiple of 16).
void place_in_channel_blocks(View&);

/// Where an element lies, in elements from the start. Throws InternalError for a placement without such a
/// place (transformed weights).
std::int64_t offset_of(const View&, std::span<const std::int64_t> position);

/// Whether two views of one shape lie alike: the strides of axes of extent 1 do not matter.
bool equally_placed(const View&, const View&);

/// Memory of a view's placement, padding included.
std::size_t bytes_of(const View&);
std::string placement_of(const View&);  ///< "nhwc", "nChw16c", "row-major", ...

}  // namespace scrawl::cpu
