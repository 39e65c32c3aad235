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

  SCRAWL_DEVICE int first(int i) const { return i * stride + offset; }
  SCRAWL_DEVICE bool contains(int pixel) const {
    return static_cast<unsigned>(pixel) < static_cast<unsigned>(extent);
  }
  /// first + tap step, divided: a pixel, or a number that no image contains.
  SCRAWL_DEVICE int divided(int at) const {
    if (up.value() == 1 || at < 0) return at;
    const int pixel = up.quotient(at);
    return pixel * up.value() == at ? pixel : -1;
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
  /// Where windows are pixels.
  SCRAWL_DEVICE Pixel plain(int m) const {
    const int line = width.quotient(m), n = height.quotient(line);
    return {n, line - n * height.value(), m - line * width.value()};
  }
  SCRAWL_DEVICE Pixel pixel(int m) const {
    if (window.value() == 1) return plain(m);
    const int whole = window.quotient(m), inside = m - whole * window.value(), p = window_w.quotient(inside);
    const auto first = plain(whole);
    return {first.n, first.p * window_h + p, first.q * window_w.value() + inside - p * window_w.value()};
  }
};

/// The matrix. T: as the image is stored, NHWC.
template <class T>
struct Patches {
  const T* x;
  int channels;  ///< of all groups: elements from pixel to pixel
  WindowAxis h, w;
  PatchRows rows;
  Divisor taps_w, depth_c;  ///< S, channels of the group
  int depth;                ///< columns: R S channels

  /// A column: steps from the window's first pixel, and a channel.
  struct Tap {
    int h, w, c;
  };
  SCRAWL_DEVICE Tap tap(int group, int d) const {
    const int tap = depth_c.quotient(d), r = taps_w.quotient(tap);
    return {r * h.step, (tap - r * taps_w.value()) * w.step,
            d - tap * depth_c.value() + group * depth_c.value()};
  }

  /// A row: where its window begins.
  struct Corner {
    int line, h, w;  ///< n H, and the pixel that tap (0, 0) reads
  };
  /// Of no row: none of its taps is in the image.
  SCRAWL_DEVICE static Corner outside() { return {0, -0x40000000, 0}; }
  SCRAWL_DEVICE Corner corner(const PatchRows::Pixel& at) const {
    return {at.n * h.extent, h.first(at.p), w.first(at.q)};
  }
  SCRAWL_DEVICE Corner corner(int m) const { return m < rows.count ? corner(rows.pixel(m)) : outside(); }

  /// The elements from (corner, tap) on, up to the end of the channels; null outside of the image.
  SCRAWL_DEVICE const T* at(const Corner& corner, const Tap& tap) const {
    const int line = h.divided(corner.h + tap.h), column = w.divided(corner.w + tap.w);
    if (!h.contains(line) || !w.contains(column)) return nullptr;
    return x + (std::int64_t{corner.line + line} * w.extent + column) * channels + tap.c;
  }

  /// A row and a column where there is no `up`: the pixel that is read is the window's first one, which may
  /// lie outside, and a step that all rows share.
  struct First {
    int pixel, h, w;  ///< its number among all images', and where
  };
  SCRAWL_DEVICE First first(const Corner& corner) const {
    const auto line = static_cast<unsigned>(corner.line + corner.h), width = static_cast<unsigned>(w.extent);
    return {static_cast<int>(line * width) + corner.w, corner.h, corner.w};  // outside: whatever it wraps to
  }
  struct Step {
    const T* from;
    int pixel, h, w;

    SCRAWL_DEVICE bool is_inside(const Patches& x, const First& first) const {
      return x.h.contains(first.h + h) && x.w.contains(first.w + w);
    }
    SCRAWL_DEVICE const T* address(const Patches& x, const First& first) const {
      return from + std::int64_t{first.pixel + pixel} * x.channels;
    }
  };
  SCRAWL_DEVICE Step step(const Tap& tap) const {
    return {x + tap.c, tap.h * w.extent + tap.w, tap.h, tap.w};
  }
};

/// Fetches stage after stage of the matrix, by vectors, from (extent, depth) on: the result's axis is that of
/// rows where stages hold it by depth, else that of columns. Needs channels in whole vectors, and no `up`.
template <class T, class Stage, int kThreads>
class PatchVectors {
  using Own = typename Stage::template Vectors<kThreads>;
  using First = typename Patches<T>::First;

 public:
  static constexpr bool is_async = true;

  SCRAWL_DEVICE PatchVectors(const Patches<T>& x, int group, int extent, int depth, int depths)
      : x_(x), group_(group), depths_(depths) {
    if constexpr (Stage::by_depth) {
      next_ = depth + Own::column();
#pragma unroll
      for (int i = 0; i < Own::count; ++i) first_[i] = x.first(x.corner(extent + Own::row(i)));
    } else {
      next_ = depth + Own::row(0);
      if (extent + Own::column() >= x.depth) next_ = depths;
      step_ = x.step(x.tap(group, extent + Own::column()));
    }
  }

  SCRAWL_DEVICE void fetch(Stage& to) {
    if constexpr (Stage::by_depth) step_ = x_.step(x_.tap(group_, next_));
#pragma unroll
    for (int i = 0; i < Own::count; ++i) {
      const int row = next_ + Own::row(i) - Own::row(0);
      if constexpr (Stage::by_depth)
        copy(to, i, first_[i], next_ < depths_);
      else
        copy(to, i, x_.first(x_.corner(x_.rows.plain(row))), row < depths_);
    }
    next_ += stage_depth<T>;
  }

 private:
  SCRAWL_DEVICE void copy(Stage& to, int i, const First& first, bool is_row) {
    copy_to_shared<16>(&to.values[Own::row(i) * Stage::stride + Own::column()], step_.address(x_, first),
                       is_row && step_.is_inside(x_, first) ? 16 : 0);
  }

  const Patches<T>& x_;
  int group_, depths_, next_;
  typename Patches<T>::Step step_;
  First first_[Stage::by_depth ? Own::count : 1];
};

/// The same by elements, for any number of channels; by columns, without `up`.
template <class T, class Stage, int kThreads>
class PatchElements {
  using First = typename Patches<T>::First;
  static constexpr int elements = Stage::rows * Stage::columns / kThreads,
                       rows_apart = kThreads / Stage::columns;
  static_assert(Stage::rows * Stage::columns % kThreads == 0 && kThreads % Stage::columns == 0);

 public:
  static constexpr bool is_async = false;

  SCRAWL_DEVICE PatchElements(const Patches<T>& x, int group, int extent, int depth, int depths)
      : x_(x), group_(group), extent_(extent), depth_(depth), depths_(depths) {}

  SCRAWL_DEVICE void fetch(Stage& to) {
    const int column = thread_index() % Stage::columns, row = thread_index() / Stage::columns;
    if constexpr (Stage::by_depth)
      fetch_rows(to, row, column);
    else
      fetch_columns(to, row, column);
    depth_ += stage_depth<T>;
  }

 private:
  SCRAWL_DEVICE void fetch_rows(Stage& to, int row, int column) {
    const int d = depth_ + column;
    const auto tap = x_.tap(group_, d);
#pragma unroll
    for (int i = 0; i < elements; ++i, row += rows_apart) {
      const T* const from = d < depths_ ? x_.at(x_.corner(extent_ + row), tap) : nullptr;
      to.values[row * Stage::stride + column] = from ? *from : T{};
    }
  }

  /// Of a stage's pixels, each lane finds where one begins: a warp has them all.
  SCRAWL_DEVICE void fetch_columns(Stage& to, int row, int column) {
    static_assert(warp_size % Stage::rows == 0);
    const int pixel = depth_ + lane_index() % Stage::rows;
    const auto own = x_.first(pixel < depths_ ? x_.corner(x_.rows.plain(pixel)) : x_.outside());
    const bool is_column = extent_ + column < x_.depth;
    const auto step = x_.step(x_.tap(group_, extent_ + column));
#pragma unroll
    for (int i = 0; i < elements; ++i, row += rows_apart) {
      const First first{shuffle(own.pixel, row), shuffle(own.h, row), shuffle(own.w, row)};
      to.values[row * Stage::stride + column] =
          is_column && step.is_inside(x_, first) ? *step.address(x_, first) : T{};
    }
  }

  const Patches<T>& x_;
  int group_, extent_, depth_, depths_;
};

template <Fetch kFetch, class T, class Stage, int kThreads>
using PatchSource = std::conditional_t<kFetch == Fetch::vectors, PatchVectors<T, Stage, kThreads>,
                                       PatchElements<T, Stage, kThreads>>;

}  // namespace SCRAWL_CUDA
