#pragma once
/// What batch norm with and without pooling share: moments of images, and the numbers per channel that turn a
/// pixel into its normalised value, or into its gradient.
///
/// Sums are kept in f64 for each image and channel, and images are added in their order, so that results do
/// not depend on the number of threads. Arrays per channel are padded with zeros to whole vectors.

#include "kernels/cpu/dense.h"
#include "kernels/cpu/images.h"
#include "kernels/norm.h"

namespace scrawl::cpu {

/// (x - center) scale + offset for 16 channels.
struct ChannelAffine {
  f32x16 center, scale, offset;

  [[gnu::always_inline]] f32x16 operator()(f32x16 x) const { return (x - center) * scale + offset; }
};

struct ChannelAffines {
  float *center, *scale, *offset;

  ChannelAffines(Workspace&, std::int64_t channels);
  ChannelAffine operator[](std::int64_t block) const {
    const auto at = block * lanes;
    return {load(center + at), load(scale + at), load(offset + at)};
  }
};

/// Two sums for each image and channel.
struct ImageSums {
  std::int64_t channels;  ///< padded
  double *first, *second;

  ImageSums(Workspace&, std::int64_t images, std::int64_t channels);

  /// Adds to the 16 channels of a block of image n.
  [[gnu::always_inline]] void add(std::int64_t n, std::int64_t block, f32x16 a, f32x16 b) const {
    alignas(64) float one[lanes], other[lanes];
    store(one, a);
    store(other, b);
    double* const to = first + n * channels + block * lanes;
    double* const and_to = second + n * channels + block * lanes;
    for (int i = 0; i < lanes; ++i) to[i] += static_cast<double>(one[i]);
    for (int i = 0; i < lanes; ++i) and_to[i] += static_cast<double>(other[i]);
  }
  void clear(std::int64_t n) const;
};

struct ForwardScratch {
  ImageSums sums;
  float* shift;  ///< for each image and channel
  ChannelAffines affine;

  ForwardScratch(Workspace&, const Shape& x);
};

/// Writes mean and variance over the valid pixels of x, and the affine that normalises with them.
void normalise_by_moments(const View& x, const View& widths, const View& gamma, const View& beta,
                          float epsilon, const View& mean, const View& variance, const ForwardScratch&,
                          int threads);

/// The affine that normalises with a mean and a variance already known.
void normalise_by(const View& gamma, const View& beta, float epsilon, const View& mean, const View& variance,
                  const ChannelAffines&);

struct BackwardScratch {
  ImageSums sums;         ///< of g, and of g (x - mean)
  ChannelAffines affine;  ///< dx = gain (g + affine(x)): g first, for one pixel's must cancel
  float* gain;

  BackwardScratch(Workspace&, const Shape& x);
};

/// Writes dgamma, dbeta and the numbers for dx from the sums. Needs x's shape alone.
template <class Call>
void finish_sums(const Call& call, const View& widths, const BackwardScratch&);

/// Fills the sums: row(n, h, block) gives those of one row, as a pair of vectors.
template <class Row>
void sum_gradients(const ChannelVectors& x, const ImageSums& sums, int threads, Row row) {
  parallel_for(threads, x.images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n) {
      sums.clear(n);
      for (std::int64_t h = 0; h < x.height; ++h)
        for (std::int64_t block = 0; block < x.blocks; ++block) {
          const auto [g, gx] = row(n, h, block);
          sums.add(n, block, g, gx);
        }
    }
  });
}

/// Workspace that a scratch for images of this shape takes.
template <class Scratch>
std::size_t scratch_bytes(const Shape& x) {
  Workspace counted;
  Scratch(counted, x);
  return counted.bytes();
}

}  // namespace scrawl::cpu
