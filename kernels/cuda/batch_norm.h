#pragma once
/// What batch norm with and without pooling share: the numbers of a lane's channels that turn a pixel into
/// its normalised value, and a gradient of that into one of the pixel. They are made anew by each kernel,
/// from f32 statistics: forward and backward then agree, to the bit, on what ReLU stopped.

#include <cmath>

#include "kernels/cuda/images.h"

namespace SCRAWL_CUDA {

struct Statistics {
  float epsilon;
  const float *mean, *variance, *gamma;

  Statistics(float epsilon, const View& mean, const View& variance, const View& gamma)
      : epsilon(epsilon),
        mean(mean.as<const float>()),
        variance(variance.as<const float>()),
        gamma(gamma.as<const float>()) {}
  SCRAWL_DEVICE float inverse_deviation(int channel) const { return 1 / sqrtf(variance[channel] + epsilon); }
};

/// z = (x - center) scale + offset
template <int kVector>
struct Normalise {
  Floats<kVector> center, scale, offset;

  SCRAWL_DEVICE Normalise(const OwnPixels& own, const Statistics& of, const float* beta) {
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      const int channel = own.has_channels ? own.channel + j : 0;
      center[j] = of.mean[channel];
      scale[j] = of.gamma[channel] * of.inverse_deviation(channel);
      offset[j] = beta[channel];
    }
  }
  SCRAWL_DEVICE float operator()(int j, float x) const { return fmaf(x - center[j], scale[j], offset[j]); }
};

/// The sums over all pixels that a gradient needs.
struct Totals {
  const float *dgamma, *dbeta, *per_pixel;
};

/// dx = gain ((g + base) + (x - center) slope): g first, for one pixel's must cancel.
template <int kVector>
struct Differentiate {
  Floats<kVector> center, gain, slope, base;

  SCRAWL_DEVICE Differentiate(const OwnPixels& own, const Statistics& of, const Totals& totals) {
    const float per_pixel = *totals.per_pixel;
#pragma unroll
    for (int j = 0; j < kVector; ++j) {
      const int channel = own.has_channels ? own.channel + j : 0;
      const float inverse_deviation = of.inverse_deviation(channel);
      center[j] = of.mean[channel];
      gain[j] = of.gamma[channel] * inverse_deviation;
      slope[j] = -inverse_deviation * totals.dgamma[channel] * per_pixel;
      base[j] = -totals.dbeta[channel] * per_pixel;
    }
  }
  SCRAWL_DEVICE float operator()(int j, float x, float g) const {
    return gain[j] * fmaf(x - center[j], slope[j], g + base[j]);
  }
};

}  // namespace SCRAWL_CUDA
