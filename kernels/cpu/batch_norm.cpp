/// Moments in one pass: sums of x - shift and of its square, where the shift is the mean of the image's first
/// pixels. So a mean far from zero costs no digits, and outliers no more than they add to the variance.

#include "kernels/cpu/batch_norm.h"

#include <cmath>

namespace scrawl::cpu {
namespace {

constexpr std::int64_t segment = 128;  ///< pixels that are summed in f32 before they join the f64 sums

std::int64_t padded(std::int64_t channels) { return (channels + lanes - 1) / lanes * lanes; }

/// M: valid pixels a channel.
double pixels_of(const Shape& x, const View& widths) {
  std::int64_t columns = 0;
  for (std::int64_t n = 0; n < x[0]; ++n) columns += valid_width(widths, n, x[3]);
  return static_cast<double>(columns * x[2]);
}

/// The mean of `count` pixels.
template <class T>
f32x16 mean_of(const Plane<T>& x, std::int64_t h, std::int64_t w, std::int64_t count) {
  f32x16 total{};
  for (std::int64_t i = 0; i < count; ++i) total += x.load(h, w + i);
  return total / static_cast<float>(count);
}

/// Adds `count` pixels, shifted, to an image's sums.
template <class T>
void add_segment(const Plane<T>& x, std::int64_t h, std::int64_t w, std::int64_t count, f32x16 shift,
                 const ImageSums& sums, std::int64_t n, std::int64_t block) {
  constexpr int ways = 4;  // independent chains hide the latency of addition
  f32x16 first[ways] = {}, second[ways] = {};
  std::int64_t i = 0;
  for (; i + ways <= count; i += ways)
#pragma GCC unroll 4
    for (int way = 0; way < ways; ++way) {
      const f32x16 d = x.load(h, w + i + way) - shift;
      first[way] += d;
      second[way] += d * d;
    }
  for (; i < count; ++i) {
    const f32x16 d = x.load(h, w + i) - shift;
    first[0] += d;
    second[0] += d * d;
  }
  sums.add(n, block, (first[0] + first[1]) + (first[2] + first[3]),
           (second[0] + second[1]) + (second[2] + second[3]));
}

template <class T>
void sum_images(const View& view, const View& widths, const ForwardScratch& scratch, int threads) {
  const Image<T> x(view);
  const auto& v = x.vectors;
  parallel_for(threads, v.images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n) {
      scratch.sums.clear(n);
      const auto width = valid_width(widths, n, v.width);
      const bool flat = width == v.width && v.row_stride == v.width * v.pixel_stride;
      const auto rows = flat ? 1 : v.height, columns = flat ? v.height * v.width : width;
      for (std::int64_t h = 0; h < rows; ++h)
        for (std::int64_t w = 0; w < columns; w += segment)
          for (std::int64_t block = 0; block < v.blocks; ++block) {
            const Plane<T> plane = x.plane(n, block);
            const auto count = std::min(segment, columns - w);
            float* const shift = scratch.shift + n * scratch.sums.channels + block * lanes;
            if (h == 0 && w == 0) store(shift, mean_of(plane, h, w, count));
            add_segment(plane, h, w, count, load(shift), scratch.sums, n, block);
          }
    }
  });
}

}  // namespace

ChannelAffines::ChannelAffines(Workspace& workspace, std::int64_t channels)
    : center(workspace.take<float>(padded(channels))),
      scale(workspace.take<float>(padded(channels))),
      offset(workspace.take<float>(padded(channels))) {}

ImageSums::ImageSums(Workspace& workspace, std::int64_t images, std::int64_t count)
    : channels(padded(count)),
      first(workspace.take<double>(images * channels)),
      second(workspace.take<double>(images * channels)) {}

void ImageSums::clear(std::int64_t n) const {
  std::fill_n(first + n * channels, channels, 0.0);
  std::fill_n(second + n * channels, channels, 0.0);
}

ForwardScratch::ForwardScratch(Workspace& workspace, const Shape& x)
    : sums(workspace, x[0], x[1]),
      shift(workspace.take<float>(x[0] * padded(x[1]))),
      affine(workspace, x[1]) {}

BackwardScratch::BackwardScratch(Workspace& workspace, const Shape& x)
    : sums(workspace, x[0], x[1]), affine(workspace, x[1]), gain(workspace.take<float>(padded(x[1]))) {}

void normalise_by_moments(const View& x, const View& widths, const View& gamma, const View& beta,
                          float epsilon, const View& mean, const View& variance,
                          const ForwardScratch& scratch, int threads) {
  dispatch_storage(x.type, [&]<class T>() { sum_images<T>(x, widths, scratch, threads); });
  const auto& [sums, shift, affine] = scratch;
  const auto images = x.shape[0], channels = x.shape[1];
  const double pixels = pixels_of(x.shape, widths);
  for (std::int64_t c = 0; c < sums.channels; ++c) {
    double average = 0, squares = 0;
    const auto each_image =
        [&](auto&& f) {  // f(pixels of the image, its mean, its sum of squares about that)
          for (std::int64_t n = 0; n < images; ++n) {
            const auto at = n * sums.channels + c;
            const auto count = static_cast<double>(x.shape[2] * valid_width(widths, n, x.shape[3]));
            if (count > 0)
              f(count, static_cast<double>(shift[at]) + sums.first[at] / count,
                sums.second[at] - sums.first[at] * sums.first[at] / count);
          }
        };
    each_image([&](double count, double image_mean, double) { average += count / pixels * image_mean; });
    each_image([&](double count, double image_mean, double about_it) {
      squares += about_it + count * (image_mean - average) * (image_mean - average);
    });
    const double spread = pixels > 0 ? std::max(squares, 0.0) / pixels : 0;
    const bool exists = c < channels;
    const double scale = exists ? gamma.as<const float>()[c] / std::sqrt(spread + epsilon) : 0;
    affine.center[c] = static_cast<float>(average);
    affine.scale[c] = static_cast<float>(scale);
    // What the f32 centre leaves of the mean is not lost: with a mean of 1e4 it is 1e-4 deviations or more.
    const double rest = average - static_cast<double>(affine.center[c]);
    affine.offset[c] = exists ? static_cast<float>(beta.as<const float>()[c] - rest * scale) : 0;
    if (!exists) continue;
    mean.as<float>()[c] = affine.center[c];
    variance.as<float>()[c] = static_cast<float>(spread);
  }
}

void normalise_by(const View& gamma, const View& beta, float epsilon, const View& mean, const View& variance,
                  const ChannelAffines& affine) {
  const auto channels = gamma.shape[0];
  for (std::int64_t c = 0; c < padded(channels); ++c) {
    const bool exists = c < channels;
    const double deviation =
        exists ? std::sqrt(static_cast<double>(variance.as<const float>()[c]) + epsilon) : 1;
    affine.center[c] = exists ? mean.as<const float>()[c] : 0;
    affine.scale[c] = exists ? static_cast<float>(gamma.as<const float>()[c] / deviation) : 0;
    affine.offset[c] = exists ? beta.as<const float>()[c] : 0;
  }
}

template <class Call>
void finish_sums(const Call& call, const View& widths, const BackwardScratch& scratch) {
  const auto images = call.x.shape[0], channels = call.x.shape[1];
  const double pixels = pixels_of(call.x.shape, widths), per_pixel = pixels > 0 ? 1 / pixels : 0;
  const auto& [sums, affine, gain] = scratch;
  for (std::int64_t c = 0; c < sums.channels; ++c) {
    double dbeta = 0, g_deviation = 0;
    for (std::int64_t n = 0; n < images; ++n) {
      dbeta += sums.first[n * sums.channels + c];
      g_deviation += sums.second[n * sums.channels + c];
    }
    const bool exists = c < channels;
    const double variance = exists ? call.variance.template as<const float>()[c] : 1;
    const double inverse_deviation = 1 / std::sqrt(variance + call.epsilon);
    const double dgamma = g_deviation * inverse_deviation;
    gain[c] = exists ? static_cast<float>(call.gamma.template as<const float>()[c] * inverse_deviation) : 0;
    affine.center[c] = exists ? call.mean.template as<const float>()[c] : 0;
    affine.scale[c] = static_cast<float>(-inverse_deviation * dgamma * per_pixel);
    affine.offset[c] = static_cast<float>(-dbeta * per_pixel);
    if (!exists) continue;
    call.dgamma.template as<float>()[c] = static_cast<float>(dgamma);
    call.dbeta.template as<float>()[c] = static_cast<float>(dbeta);
  }
}

template void finish_sums(const BatchNormBackward&, const View&, const BackwardScratch&);
template void finish_sums(const BatchNormPoolBackward&, const View&, const BackwardScratch&);

}  // namespace scrawl::cpu
