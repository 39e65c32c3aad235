/// What goes before and behind the products of convolutions: weights as rows of a product, and zeros beyond
/// valid widths. Both are small beside the products.

#include "kernels/cuda/convolution_call.h"

namespace SCRAWL_CUDA {

namespace {

/// Element (row, d) of the rows comes from w at `row` and at d's tap and inner channel.
struct Arrangement {
  int rows, depth;
  std::int64_t stride;  ///< from row to row
  Divisor inner, taps_w, rows_of_group;
  std::int64_t group_stride, row_stride, inner_stride, r_stride, s_stride;  ///< in w

  SCRAWL_DEVICE std::int64_t from(int row, int d) const {
    const int tap = inner.quotient(d), r = taps_w.quotient(tap), group = rows_of_group.quotient(row);
    return group * group_stride + (row - group * rows_of_group.value()) * row_stride +
           (d - tap * inner.value()) * inner_stride + r * r_stride + (tap - r * taps_w.value()) * s_stride;
  }
};

constexpr int threads = 256;

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(threads) void arrange(Arrangement a, const T* w, T* rows) {
  const int row = static_cast<int>(block_index().x);
  for (int d = thread_index(); d < a.stride; d += threads)
    rows[row * a.stride + d] = d < a.depth ? w[a.from(row, d)] : T{};
}

/// A block zeroes what is invalid in a line of the image.
template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(threads) void zero_columns(T* image, Widths widths, int height,
                                                        std::int64_t line, std::int64_t channels) {
  const auto n = block_index().x / static_cast<unsigned>(height);
  for (std::int64_t i = widths[n] * channels + thread_index(); i < line; i += threads)
    image[block_index().x * line + i] = T{};
}

}  // namespace

void arrange_weights(const View& w, std::int64_t groups, Rows order, void* rows, std::int64_t stride,
                     Stream stream) {
  const bool by_outputs = order == Rows::outputs;
  const auto outputs = w.shape[0] / groups, inputs = w.shape[1];
  const auto& s = w.strides;
  const Arrangement arrangement{
      .rows = static_cast<int>(groups * (by_outputs ? outputs : inputs)),
      .depth = static_cast<int>((by_outputs ? inputs : outputs) * w.shape[2] * w.shape[3]),
      .stride = stride,
      .inner = Divisor(by_outputs ? inputs : outputs),
      .taps_w = Divisor(w.shape[3]),
      .rows_of_group = Divisor(by_outputs ? outputs : inputs),
      .group_stride = outputs * s[0],
      .row_stride = by_outputs ? s[0] : s[1],
      .inner_stride = by_outputs ? s[1] : s[0],
      .r_stride = s[2],
      .s_stride = s[3]};
  dispatch_storage(w.type, [&]<class T>() {
    launch({.kernel = "arrange_weights",
            .blocks = {blocks_for(arrangement.rows, 1)},
            .threads = threads,
            .stream = stream},
           arrange<T>, arrangement, w.as<const T>(), static_cast<T*>(rows));
  });
}

void zero_beyond(const View& image, const View& widths, Stream stream) {
  if (!widths.present()) return;
  dispatch_storage(image.type, [&]<class T>() {
    launch({.kernel = "zero_columns",
            .blocks = {blocks_for(image.shape[0] * image.shape[2], 1)},
            .threads = threads,
            .stream = stream},
           zero_columns<T>, image.as<T>(), Widths(widths, image.shape[3]), static_cast<int>(image.shape[2]),
           image.shape[3] * image.shape[1], image.shape[1]);
  });
}

}  // namespace SCRAWL_CUDA
