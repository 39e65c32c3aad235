/// Moments of images in one pass: each lane sums x - shift and its square, the shift being its first pixel,
/// so that a mean far from zero costs no digits; lanes and then blocks are merged by their means. 2 or 4
/// bytes are read an element, once.

#include "kernels/cuda/moments.h"

#include <cmath>

namespace SCRAWL_CUDA {

namespace {

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads, 3) void sum_pixels(ImageBlocks blocks, Widths widths,
                                                                      const T* x, Partials partials) {
  const OwnPixels own(blocks);
  const Validity valid(own, widths);
  OwnMoments<kVector> sums;
  const auto load = [&](int i) { return load_valid<kVector>(x, own, valid, i); };
  each_pixel<pixels_in_flight<kVector>>(own, load, [&](int, const Loaded<Stored<T, kVector>>& pixel) {
    if (!pixel.is_valid) return;
    const auto values = to_floats(pixel.operands);
    if (sums.count++ == 0) sums.shift = values;
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      const float deviation = values[j] - sums.shift[j];
      sums.first[j] += deviation;
      sums.second[j] = fmaf(deviation, deviation, sums.second[j]);
    }
  });
  if (sums.count > 0) {
    const float each = 1 / static_cast<float>(sums.count);
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      const auto own_moments = Moments::of_sums(sums.shift[j], sums.first[j], sums.second[j], each);
      sums.first[j] = own_moments.first;
      sums.second[j] = own_moments.second;
    }
  }
  leave(own, sums, partials);
}

// -------------------------------------------------------------------------------------------------- merge

/// Makes fewer parts of many, which `blocks` shares out as if they were pixels.
SCRAWL_KERNEL SCRAWL_THREADS(ImageBlocks::threads) void merge_neighbours(ImageBlocks blocks, Partials from,
                                                                         Partials to) {
  const OwnPixels own(blocks);
  CountedMoments merged;
  const auto load = [&](int i) -> CountedMoments {
    const auto at = own.offset(i);
    return {{from.shift[at], from.first[at], from.second[at]}, from.counts[own.first + i]};
  };
  each_pixel<pixels_in_flight<1>>(own, load, [&](int, const CountedMoments& part) { merged.merge(part); });
  OwnMoments<1> sums;
  sums.shift[0] = merged.of.shift;
  sums.first[0] = merged.of.first;
  sums.second[0] = merged.of.second;
  sums.count = merged.count;
  leave(own, sums, to);
}

struct Merge {
  static constexpr int threads = 256, lanes = 8, rows = threads / lanes;  ///< 32 bytes of channels, and parts
};

/// Sums over parts, in f64: differences of large ones then keep more digits than f32 has.
struct Triple {
  double a = 0, b = 0, c = 0;

  SCRAWL_DEVICE void operator+=(const Triple& other) {
    a += other.a;
    b += other.b;
    c += other.c;
  }
};

struct MergeTile {
  Triple sums[Merge::threads];
  PerWarp<double> scratch;
};
constexpr std::size_t merge_shared_bytes = shared_size<MergeTile, 6656>;

/// The parts of a channel: the sum is in row 0. All lanes call; term(part, at) gives what part `part` adds.
template <class Term>
SCRAWL_DEVICE Triple merge_parts(Triple (&sums)[Merge::threads], int parts, int channels, int channel,
                                 int row, Term term) {
  Triple own;
  if (channel < channels) {
#pragma unroll 4
    for (int part = row; part < parts; part += Merge::rows)
      own += term(part, std::int64_t{part} * channels + channel);
  }
  sums[thread_index()] = own;
  reduce_rows(Merge::rows, row, Merge::lanes, [&](int into, int from) { sums[into] += sums[from]; });
  return sums[thread_index()];
}

SCRAWL_KERNEL SCRAWL_THREADS(Merge::threads) void merge_moments(Partials partials, int channels, float* mean,
                                                                float* variance) {
  auto& tile = shared_memory<MergeTile>();
  const int row = thread_index() / Merge::lanes;
  const int channel = static_cast<int>(block_index().x) * Merge::lanes + thread_index() % Merge::lanes;
  const double shift = partials.parts > 0 && channel < channels ? partials.shift[channel] : 0;
  const auto [count, sum, squares] = merge_parts(
      tile.sums, partials.parts, channels, channel, row, [&](int part, std::int64_t at) -> Triple {
        const double pixels = partials.counts[part],
                     deviation = partials.shift[at] - shift + partials.first[at];
        return {pixels, pixels * deviation, partials.second[at] + pixels * deviation * deviation};
      });
  if (row != 0 || channel >= channels) return;
  const double deviation = count > 0 ? sum / count : 0;
  const double about_it = squares - sum * deviation;
  mean[channel] = static_cast<float>(shift + deviation);
  variance[channel] = about_it < 0 ? 0 : static_cast<float>(about_it / (count > 0 ? count : 1));
}

/// GradientSums, as the kernel has them.
struct MergedGradients {
  float epsilon;
  const float* variance;
  float *dgamma, *dbeta, *per_pixel;
  std::int64_t images;
  int height;
  Widths widths;
};

SCRAWL_KERNEL SCRAWL_THREADS(Merge::threads) void merge_sums(MergedGradients of, Partials partials,
                                                             int channels) {
  auto& tile = shared_memory<MergeTile>();
  const double columns = of.widths.each ? valid_columns(of.widths, of.images, tile.scratch)
                                        : static_cast<double>(of.images) * of.widths.all;
  const int row = thread_index() / Merge::lanes;
  const int channel = static_cast<int>(block_index().x) * Merge::lanes + thread_index() % Merge::lanes;
  const auto sums = merge_parts(
      tile.sums, partials.parts, channels, channel, row,
      [&](int, std::int64_t at) -> Triple { return {.b = partials.first[at], .c = partials.second[at]}; });
  const double pixels = columns * of.height;
  if (channel == 0 && row == 0) *of.per_pixel = pixels > 0 ? static_cast<float>(1 / pixels) : 0;
  if (row != 0 || channel >= channels) return;
  of.dbeta[channel] = static_cast<float>(sums.b);
  of.dgamma[channel] =
      static_cast<float>(sums.c / sqrt(static_cast<double>(of.variance[channel]) + of.epsilon));
}

Launch launch_of_merge(std::string_view kernel, std::int64_t channels, Stream stream) {
  return {.kernel = kernel,
          .blocks = {blocks_for(channels, Merge::lanes)},
          .threads = Merge::threads,
          .shared_bytes = merge_shared_bytes,
          .stream = stream};
}

void launch_merge(const Partials& partials, const View& mean, const View& variance, Stream stream) {
  const auto channels = mean.shape[0];
  launch(launch_of_merge("merge_moments", channels, stream), merge_moments, partials,
         static_cast<int>(channels), mean.as<float>(), variance.as<float>());
}

/// How blocks share out parts, as pixels.
ImageBlocks blocks_of_parts(int parts, std::int64_t channels, int multiprocessors) {
  return {parts, channels, 1, 1, 1, multiprocessors};
}

}  // namespace

void take_moments(const View& x, const View& widths, const View& mean, const View& variance, Bytes workspace,
                  int multiprocessors, Stream stream) {
  const auto channels = x.shape[1];
  dispatch_channels(
      [&]<class T, int kVector>() {
        const ImageBlocks blocks(x.shape, kVector, multiprocessors);
        const Partials partials(workspace, blocks.parts, channels);
        launch({.kernel = "sum_pixels",
                .blocks = blocks.blocks(),
                .threads = ImageBlocks::threads,
                .shared_bytes = moments_bytes<kVector>,
                .stream = stream},
               sum_pixels<T, kVector>, blocks, Widths(widths, x.shape[3]), x.as<const T>(), partials);
        launch_merge(partials, mean, variance, stream);
      },
      x);
}

std::size_t merge_bytes(int parts, std::int64_t channels, int multiprocessors) {
  return Partials::bytes(blocks_of_parts(parts, channels, multiprocessors).parts, channels);
}

void merge_partials(const Partials& partials, const View& mean, const View& variance, Bytes workspace,
                    int multiprocessors, Stream stream) {
  const auto channels = mean.shape[0];
  const auto blocks = blocks_of_parts(partials.parts, channels, multiprocessors);
  const Partials fewer(workspace, blocks.parts, channels);
  launch({.kernel = "merge_neighbours",
          .blocks = blocks.blocks(),
          .threads = ImageBlocks::threads,
          .shared_bytes = moments_bytes<1>,
          .stream = stream},
         merge_neighbours, blocks, partials, fewer);
  launch_merge(fewer, mean, variance, stream);
}

void merge_gradients(const GradientSums& of, const Partials& partials, Stream stream) {
  const auto channels = of.dgamma.shape[0];
  const MergedGradients gradients{.epsilon = of.epsilon,
                                  .variance = of.variance.as<const float>(),
                                  .dgamma = of.dgamma.as<float>(),
                                  .dbeta = of.dbeta.as<float>(),
                                  .per_pixel = of.per_pixel,
                                  .images = of.pixels[0],
                                  .height = static_cast<int>(of.pixels[2]),
                                  .widths = Widths(of.widths, of.pixels[3])};
  launch(launch_of_merge("merge_sums", channels, stream), merge_sums, gradients, partials,
         static_cast<int>(channels));
}

}  // namespace SCRAWL_CUDA
