#pragma once
/// The matrix of an image's patches (im2col), which is an index map and never memory: row m is an output
/// pixel (n, p, q), column d is a tap (r, s) of the window and one of the group's channels,
/// d = (r S + s) channels + c. Gradients with respect to the image read patches of dy in the same way: there
/// rows are pixels of x, and taps step backwards.

#include "kernels/conv2d.h"
#include "kernels/cuda/device/divisor.h"
#include "kernels/cuda/device/warp.h"
#include "kernels/cuda/gemm_tile.h"

namespace SCRAWL_CUDA {

/// Where a window reads along one axis: tap r of pixel i reads (i stride + offset + r step) / up, where that
/// is whole and in 0 .. extent - 1.
struct WindowAxis {
  int extent, stride, offset, step;
  Divisor up;

  /// Of x, for pixel i of y.
  static WindowAxis forward(std::int64_t extent, std::int64_t stride, std::int64_t before,
                            std::int64_t dilation) {
    return {static_cast<int>(extent), static_cast<int>(stride), static_cast<int>(-before),
            static_cast<int>(dilation), Divisor(1)};
  }
  /// Of dy, for pixel i of dx.
  static WindowAxis backward(std::int64_t extent, std::int64_t stride, std::int64_t before,
                             std::int64_t dilation) {
    return {static_cast<int>(extent), 1, static_cast<int>(before), static_cast<int>(-dilation),
            Divisor(stride)};
  }

  /// The pixel that is read, or a number outside of 0 .. extent - 1.
  SCRAWL_DEVICE int pixel(int first, int tap) const {
    const int at = first + tap * step;
    if (up.value() == 1 || at < 0) return at;
    const int pixel = up.quotient(at);
    return pixel * up.value() == at ? pixel : -1;
  }
  SCRAWL_DEVICE int first(int i) const { return i * stride + offset; }
  SCRAWL_DEVICE bool contains(int pixel) const {
    return static_cast<unsigned>(pixel) < static_cast<unsigned>(extent);
  }
};

/// Rows come in the order of y's pixels, or window by window of a pooling without overlaps, each window in
/// row-major order: then y's last rows and columns, which no window has, are left out.
struct PatchRows {
  int count = 0;             ///< of all images
  Divisor height, width;     ///< of y, in windows
  Divisor window_w, window;  ///< pixels of a window's row, and of a window
  int window_h = 1;

  struct Pixel {
    int n, p, q;
  };
  SCRAWL_DEVICE Pixel pixel(int m) const {
    int p = 0, q = 0;
    if (window.value() > 1) {
      const int whole = window.quotient(m), inside = m - whole * window.value();
      p = window_w.quotient(inside);
      q = inside - p * window_w.value();
      m = whole;
    }
    const int line = width.quotient(m), n = height.quotient(line);
    return {n, (line - n * height.value()) * window_h + p, (m - line * width.value()) * window_w.value() + q};
  }
};

/// The matrix. T: as the image is stored, NHWC.
template <class T>
struct Patches {
  const T* x;
  std::int64_t channels;  ///< of all groups: elements from pixel to pixel
  WindowAxis h, w;
  PatchRows rows;
  Divisor taps_w, depth_c;  ///< S, channels of the group
  int depth;                ///< columns: R S channels

  /// A column: a pixel of the window, and a channel.
  struct Tap {
    int r, s, c;
  };
  SCRAWL_DEVICE Tap tap(int group, int d) const {
    const int tap = depth_c.quotient(d), r = taps_w.quotient(tap);
    return {r, tap - r * taps_w.value(), d - tap * depth_c.value() + group * depth_c.value()};
  }

  /// A row: where its window begins.
  struct Corner {
    int line, h, w;  ///< n H, and the pixel that tap (0, 0) reads
  };
  /// Of no row: none of its taps is in the image.
  SCRAWL_DEVICE static Corner outside() { return {0, -0x40000000, 0}; }
  SCRAWL_DEVICE Corner corner(int m) const {
    if (m >= rows.count) return outside();
    const auto [n, p, q] = rows.pixel(m);
    return {n * h.extent, h.first(p), w.first(q)};
  }

  /// The elements from (corner, tap) on, up to the end of the channels; null outside of the image.
  SCRAWL_DEVICE const T* at(const Corner& corner, const Tap& tap) const {
    const int line = h.pixel(corner.h, tap.r), column = w.pixel(corner.w, tap.s);
    if (!h.contains(line) || !w.contains(column)) return nullptr;
    return x + (std::int64_t{corner.line + line} * w.extent + column) * channels + tap.c;
  }
};

/// Fetches stage after stage of the matrix, by vectors, from (extent, depth) on: the result's axis is that of
/// rows where stages hold it by depth, else that of columns. Needs channels in whole vectors.
template <class T, class Stage, int kThreads>
class PatchVectors {
  using Own = typename Stage::template Vectors<kThreads>;
  using Corner = typename Patches<T>::Corner;
  using Tap = typename Patches<T>::Tap;

 public:
  static constexpr bool is_async = true;

  SCRAWL_DEVICE PatchVectors(const Patches<T>& x, int group, int extent, int depth, int depths)
      : x_(x), group_(group), depths_(depths) {
    if constexpr (Stage::by_depth) {
      next_ = depth + Own::column();
#pragma unroll
      for (int i = 0; i < Own::count; ++i) corners_[i] = x.corner(extent + Own::row(i));
    } else {
      next_ = depth + Own::row(0);
      if (extent + Own::column() >= x.depth) next_ = depths;
      tap_ = x.tap(group, extent + Own::column());
    }
  }

  SCRAWL_DEVICE void fetch(Stage& to) {
    if constexpr (Stage::by_depth) tap_ = x_.tap(group_, next_);
#pragma unroll
    for (int i = 0; i < Own::count; ++i) {
      const T* from = nullptr;
      if constexpr (Stage::by_depth) {
        if (next_ < depths_) from = x_.at(corners_[i], tap_);
      } else {
        const int row = next_ + Own::row(i) - Own::row(0);
        if (row < depths_) from = x_.at(x_.corner(row), tap_);
      }
      copy_to_shared<16>(&to.values[Own::row(i) * Stage::stride + Own::column()], from ? from : x_.x,
                         from ? 16 : 0);
    }
    next_ += stage_depth<T>;
  }

 private:
  const Patches<T>& x_;
  int group_, depths_, next_;
  Tap tap_;
  Corner corners_[Stage::by_depth ? Own::count : 1];
};

/// The same by elements, for any number of channels.
template <class T, class Stage, int kThreads>
class PatchElements {
  using Corner = typename Patches<T>::Corner;
  static constexpr int elements = Stage::rows * Stage::columns / kThreads,
                       rows_apart = kThreads / Stage::columns;
  static_assert(Stage::rows * Stage::columns % kThreads == 0 && kThreads % Stage::columns == 0);

 public:
  static constexpr bool is_async = false;

  SCRAWL_DEVICE PatchElements(const Patches<T>& x, int group, int extent, int depth, int depths)
      : x_(x), group_(group), extent_(extent), depth_(depth), depths_(depths) {}

  SCRAWL_DEVICE void fetch(Stage& to) {
    const int column = thread_index() % Stage::columns, first = thread_index() / Stage::columns;
    const int d = Stage::by_depth ? depth_ + column : extent_ + column;
    const bool is_inside = d < x_.depth && (!Stage::by_depth || d < depths_);
    const auto tap = x_.tap(group_, d);
    // Of a stage's pixels, each lane finds the corner of one, where a warp has them all.
    Corner own{};
    if constexpr (!Stage::by_depth) own = corner(depth_ + lane_index() % Stage::rows);
#pragma unroll
    for (int i = 0; i < elements; ++i) {
      const int row = i * rows_apart + first;
      Corner at;
      if constexpr (Stage::by_depth)
        at = x_.corner(extent_ + row);
      else
        at = {shuffle(own.line, row), shuffle(own.h, row), shuffle(own.w, row)};
      const T* const from = is_inside ? x_.at(at, tap) : nullptr;
      to.values[row * Stage::stride + column] = from ? *from : T{};
    }
    depth_ += stage_depth<T>;
  }

 private:
  SCRAWL_DEVICE Corner corner(int row) const { return row < depths_ ? x_.corner(row) : x_.outside(); }

  const Patches<T>& x_;
  int group_, extent_, depth_, depths_;
};

template <Fetch kFetch, class T, class Stage, int kThreads>
using PatchSource = std::conditional_t<kFetch == Fetch::vectors, PatchVectors<T, Stage, kThreads>,
                                       PatchElements<T, Stage, kThreads>>;

}  // namespace SCRAWL_CUDA
