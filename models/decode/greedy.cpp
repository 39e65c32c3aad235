#include "models/decode/greedy.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "models/alphabet.h"

namespace scrawl {
namespace {

constexpr std::int32_t blank = Alphabet::blank;

}  // namespace

double Decoded::confidence() const {
  return std::exp(log_probability / static_cast<double>(std::max<std::size_t>(1, classes.size())));
}

Decoded decode_greedy(const View& log_probs, int length) {
  if (log_probs.shape.rank != 2 || log_probs.type != DType::f32 || log_probs.shape[1] < 1)
    throw ShapeError("greedy: expected f32 log-probabilities (T,K), got {} axes of {}", log_probs.shape.rank,
                     name_of(log_probs.type));
  if (length < 0 || length > log_probs.shape[0])
    throw ShapeError("greedy: expected a length from 0 to {}, got {}", log_probs.shape[0], length);

  Decoded decoded;
  std::int32_t previous = blank;
  for (int t = 0; t < length; ++t) {
    const float* frame = log_probs.as<float>() + t * log_probs.strides[0];
    std::int32_t best = 0;
    for (std::int32_t k = 1; k < log_probs.shape[1]; ++k)
      if (frame[k * log_probs.strides[1]] > frame[best * log_probs.strides[1]]) best = k;
    decoded.log_probability += static_cast<double>(frame[best * log_probs.strides[1]]);
    if (best != blank && best != previous) decoded.classes.push_back(best);
    previous = best;
  }
  return decoded;
}

}  // namespace scrawl
