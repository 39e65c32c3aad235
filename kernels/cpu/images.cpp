#include "kernels/cpu/images.h"

#include "kernels/error.h"

namespace scrawl::cpu {

ChannelVectors image_vectors(const View& view) {
  if (const auto vectors = channel_vectors(view)) return *vectors;
  if (!is_plain(view, Order::channels_last))
    throw InternalError("image: expected channel vectors or NHWC, got {}", placement_of(view));
  const auto& [images, channels, height, width, _] = view.shape.dims;
  return {.images = images,
          .channels = channels,
          .height = height,
          .width = width,
          .blocks = (channels + channel_lanes - 1) / channel_lanes,
          .image_stride = view.strides[0],
          .block_stride = channel_lanes,
          .row_stride = view.strides[2],
          .pixel_stride = view.strides[3]};
}

void make_readable(View& view) {
  if (!channel_vectors(view)) make_plain(view, Order::channels_last);
}

void place_like(View& view, const View& like) {
  if (like.layout)
    place_in_channel_blocks(view);
  else
    make_plain(view, Order::channels_last);
}

}  // namespace scrawl::cpu
