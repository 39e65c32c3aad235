#include "kernels/cpu/widths.h"

#include <cstring>

#include "kernels/cpu/images.h"
#include "kernels/error.h"

namespace scrawl::cpu {

namespace {

/// Where the columns of one row of one image lie: `runs` pieces, `run_stride` apart, of columns of
/// `column` bytes. All in bytes.
struct Rows {
  std::int64_t image_stride, row_stride, runs, run_stride, column;
};

Rows rows_of(const View& image) {
  const auto size = static_cast<std::int64_t>(size_of(image.type));
  if (const auto v = channel_vectors(image); v && image.layout)
    return {v->image_stride * size, v->row_stride * size, v->blocks, v->block_stride * size,
            v->pixel_stride * size};
  const auto& strides = image.strides;
  if (is_plain(image, Order::channels_last))
    return {strides[0] * size, strides[2] * size, 1, 0, strides[3] * size};
  if (strides[3] != 1) throw InternalError("zero_beyond: cannot take {}", placement_of(image));
  return {strides[0] * size, strides[2] * size, image.shape[1], strides[1] * size, size};
}

}  // namespace

void zero_beyond(const View& image, const View& widths, int threads) {
  if (!widths.present()) return;
  const auto rows = rows_of(image);
  const auto height = image.shape[2], width = image.shape[3];
  parallel_for(threads, image.shape[0], 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n) {
      const auto valid = valid_width(widths, n, width);
      for (std::int64_t run = 0; run < rows.runs; ++run)
        for (std::int64_t h = 0; h < height; ++h)
          std::memset(image.as<std::byte>() + n * rows.image_stride + run * rows.run_stride +
                          h * rows.row_stride + valid * rows.column,
                      0, static_cast<std::size_t>((width - valid) * rows.column));
    }
  });
}

}  // namespace scrawl::cpu
