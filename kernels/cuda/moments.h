#pragma once
/// Statistics and sums of gradients, summed over many pixels: each block leaves those of its stretch, and one
/// kernel merges them, in their order. Statistics are a mean, the sum of squared deviations from it, and the
/// number of pixels. The mean is in two parts, some pixel's value and the rest: it then has the digits that
/// tell the means of blocks apart, however far from zero they are. A convolution's epilogue leaves those of
/// its tiles (tile_moments.h). Synchronised statistics are what comes of several ranks' parts: each sends its
/// own, once they are few, and all merge them alike. Gradients are sum g and sum g (x - mean). Source: Chan,
/// Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.

#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/images.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

/// Of some pixels of a channel: mean = shift + first, second = sum (x - mean)^2.
struct Moments {
  float shift = 0, first = 0, second = 0;

  /// Of pixels each of which is `share` of all, whose sums of x - shift and of its square these are.
  SCRAWL_DEVICE static Moments of_sums(float shift, float first, float second, float share) {
    const float mean = first * share, about_it = second - first * mean;
    return {shift, mean, about_it < 0 ? 0 : about_it};  // NaN stays NaN
  }

  /// Adds those of `b` pixels, not 0, to those of `a`.
  SCRAWL_DEVICE void merge(const Moments& from, int a, int b) {
    if (a == 0) {
      *this = from;
      return;
    }
    const auto before = static_cast<float>(a), share = static_cast<float>(b) / static_cast<float>(a + b);
    const float apart = (from.shift - shift) + (from.first - first);
    first += apart * share;
    second += from.second + apart * apart * (before * share);
  }
};

/// The same with the number of pixels, which may be 0.
struct CountedMoments {
  Moments of;
  int count = 0;

  SCRAWL_DEVICE void merge(const CountedMoments& from) {
    if (from.count == 0) return;
    of.merge(from.of, count, from.count);
    count += from.count;
  }
};

/// What blocks leave: (parts, C) f32 each. Moments: mean = shift + first, second = sum (x - mean)^2.
/// Gradients: first = sum g, second = sum g (x - mean), no shifts and no counts.
struct Partials {
  float *first, *second, *shift;
  std::int32_t* counts;  ///< (parts) pixels
  int parts;

  Partials(Bytes workspace, int parts, std::int64_t channels)
      : first(reinterpret_cast<float*>(workspace.data())),
        second(first + parts * channels),
        shift(second + parts * channels),
        counts(reinterpret_cast<std::int32_t*>(shift + parts * channels)),
        parts(parts) {}
  static std::size_t bytes(int parts, std::int64_t channels) {
    return static_cast<std::size_t>(parts) * static_cast<std::size_t>(3 * channels + 1) * sizeof(float);
  }

  SCRAWL_DEVICE void leave(std::int64_t at, const Moments& moments) const {
    shift[at] = moments.shift;
    first[at] = moments.first;
    second[at] = moments.second;
  }
};

/// Room for the partials of images, whether they are taken in vectors or not.
inline std::size_t partial_bytes(const View& x, const Shape& pixels, int multiprocessors) {
  std::size_t bytes = 0;
  dispatch_storage(x.type, [&]<class T>() {
    for (const int vector : {1, full_vector<T>})
      if (pixels[1] % vector == 0)
        bytes =
            std::max(bytes, Partials::bytes(ImageBlocks(pixels, vector, multiprocessors).parts, pixels[1]));
  });
  return bytes;
}

/// combine(into, from), numbers of lanes, over the rows of a block: down to row 0. Each row has `lanes`
/// lanes; all lanes of the block call. The first barrier also covers what lanes wrote before.
template <class Combine>
SCRAWL_DEVICE void reduce_rows(int rows, int row, int lanes, Combine combine, Place place = Place::here()) {
  for (int left = rows; left > 1;) {
    const int half = (left + 1) / 2;
    sync_block(place);
    if (row + half < left) combine(thread_index(), thread_index() + half * lanes);
    left = half;
  }
}

/// The sums of a lane, over its pixels.
template <int kVector>
struct OwnMoments {
  Floats<kVector> first{}, second{}, shift{};
  int count = 0;
};
template <int kVector>
struct OwnGradients {
  Floats<kVector> first{}, second{};
};

/// Those of all lanes of a block: neighbours in different banks.
template <int kVector>
struct BlockGradients {
  float first[kVector][ImageBlocks::threads], second[kVector][ImageBlocks::threads];
};
template <int kVector>
struct BlockMoments : BlockGradients<kVector> {
  float shift[kVector][ImageBlocks::threads];
  int counts[ImageBlocks::threads];

  /// Adds the moments of one lane to those of another.
  SCRAWL_DEVICE void merge(int into, int from) {
    const int a = counts[into], b = counts[from];
    if (b == 0) return;
    counts[into] = a + b;
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      auto sum = at(j, into);
      sum.merge(at(j, from), a, b);
      put(j, into, sum);
    }
  }

  SCRAWL_DEVICE Moments at(int j, int lane) const {
    return {shift[j][lane], this->first[j][lane], this->second[j][lane]};
  }
  SCRAWL_DEVICE void put(int j, int lane, const Moments& moments) {
    shift[j][lane] = moments.shift;
    this->first[j][lane] = moments.first;
    this->second[j][lane] = moments.second;
  }
};
template <int kVector>
inline constexpr std::size_t moments_bytes = shared_size<BlockMoments<kVector>, (3 * kVector + 1) * 1024>;
template <int kVector>
inline constexpr std::size_t gradients_bytes = shared_size<BlockGradients<kVector>, 2 * kVector * 1024>;

/// Merges what the lanes of a block have, and leaves it. All lanes call.
template <int kVector>
SCRAWL_DEVICE void leave(const OwnPixels& own, const OwnMoments<kVector>& sums, const Partials& partials) {
  auto& block = shared_memory<BlockMoments<kVector>>();
  const int thread = thread_index();
  block.counts[thread] = sums.count;
#pragma unroll
  for (int j = 0; j < kVector; ++j) block.put(j, thread, {sums.shift[j], sums.first[j], sums.second[j]});
  reduce_rows(own.blocks.rows, own.row, own.blocks.lanes,
              [&](int into, int from) { block.merge(into, from); });
  if (own.row != 0 || !own.has_channels) return;
  if (own.channel == 0) partials.counts[own.part] = block.counts[thread];
  const auto to = std::int64_t{own.part} * own.blocks.channels + own.channel;
#pragma unroll
  for (int j = 0; j < kVector; ++j) partials.leave(to + j, block.at(j, thread));
}

template <int kVector>
SCRAWL_DEVICE void leave(const OwnPixels& own, const OwnGradients<kVector>& sums, const Partials& partials) {
  auto& [first, second] = shared_memory<BlockGradients<kVector>>();
  const int thread = thread_index();
#pragma unroll
  for (int j = 0; j < kVector; ++j) {
    first[j][thread] = sums.first[j];
    second[j][thread] = sums.second[j];
  }
  reduce_rows(own.blocks.rows, own.row, own.blocks.lanes, [&](int into, int from) {
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      first[j][into] += first[j][from];
      second[j][into] += second[j][from];
    }
  });
  if (own.row != 0 || !own.has_channels) return;
  const auto to = std::int64_t{own.part} * own.blocks.channels + own.channel;
#pragma unroll
  for (int j = 0; j < kVector; ++j) {
    partials.first[to + j] = first[j][thread];
    partials.second[to + j] = second[j][thread];
  }
}

/// Valid columns of all images. All lanes of the block call.
SCRAWL_DEVICE double valid_columns(const Widths& widths, std::int64_t images, PerWarp<double>& scratch) {
  double columns = 0;
  for (std::int64_t n = thread_index(); n < images; n += block_size()) columns += widths[n];
  return reduce_block(columns, Plus{}, scratch);
}

/// mean and variance (C) of the valid pixels of x. Workspace: partial_bytes(x, x.shape, multiprocessors).
void take_moments(const View& x, const View& widths, const View& mean, const View& variance, Bytes workspace,
                  int multiprocessors, Stream);

/// mean and variance (C) of what others left, in their order: many parts are first made few, by blocks that
/// have a stretch of them each. Workspace: merge_bytes(partials.parts, C, multiprocessors).
void merge_partials(const Partials&, const View& mean, const View& variance, Bytes workspace,
                    int multiprocessors, Stream);
std::size_t merge_bytes(int parts, std::int64_t channels, int multiprocessors);

/// From the partials of gradients: dbeta = sum g, dgamma = sum g xhat, both (C), and 1 / M (0 for M = 0).
/// `pixels` is the shape of the images that M is of.
struct GradientSums {
  float epsilon;
  View variance, dgamma, dbeta, widths;
  Shape pixels;
  float* per_pixel;
};
void merge_gradients(const GradientSums&, const Partials&, Stream);

}  // namespace SCRAWL_CUDA
