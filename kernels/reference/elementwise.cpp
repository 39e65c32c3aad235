#include "kernels/elementwise.h"

#include "kernels/random.h"
#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

/// Calls f(n, c, h, w) for every pixel of an image batch.
template <class F>
void each_pixel(const Shape& x, F&& f) {
  for (std::int64_t n = 0; n < x[0]; ++n)
    for (std::int64_t c = 0; c < x[1]; ++c)
      for (std::int64_t h = 0; h < x[2]; ++h)
        for (std::int64_t w = 0; w < x[3]; ++w) f(n, c, h, w);
}

}  // namespace

void run(const Copy& call) {
  Tensor y(call.x);
  for (double& value : y.values()) value = value * call.scale + call.offset;
  y.store(call.y);
}

void run(const Add& call) {
  const Tensor b(call.b);
  Tensor y(call.a);
  for (std::size_t i = 0; i < y.values().size(); ++i) y.values()[i] += b.values()[i];
  y.store(call.y);
}

void run(const Dropout& call) {
  const Tensor counters(call.counters);
  const auto step = static_cast<std::uint32_t>(counters(0));
  const auto first_sample = static_cast<std::uint64_t>(counters(1));
  Tensor y(call.x);
  // The sample's axis splits the others: element = outer * inner extent + inner.
  std::uint64_t inner_extent = 1;
  for (int axis = call.sample_axis + 1; axis < call.x.shape.rank; ++axis)
    inner_extent *= static_cast<std::uint64_t>(call.x.shape[axis]);
  const auto samples = static_cast<std::uint64_t>(call.x.shape[call.sample_axis]);
  for (std::uint64_t i = 0; i < y.values().size(); ++i) {
    const auto inner = i % inner_extent, n = i / inner_extent % samples, outer = i / inner_extent / samples;
    const auto element = outer * inner_extent + inner, sample = first_sample + n;
    const auto words = philox({static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32),
                               static_cast<std::uint32_t>(element / 4), call.node},
                              {call.seed, step});
    const bool kept = uniform01(words[element % 4]) >= call.rate;
    y.values()[i] = kept ? y.values()[i] / (1.0 - call.rate) : 0;
  }
  y.store(call.y);
}

void run(const ImageToSequence& call) {
  const Tensor x(call.x);
  Tensor y(call.y.shape);
  each_pixel(x.shape(),
             [&](auto n, auto c, auto h, auto w) { y(w, n, c * x.extent(2) + h) = x(n, c, h, w); });
  y.store(call.y);
}

void run(const SequenceToImage& call) {
  const Tensor x(call.x);
  Tensor y(call.y.shape);
  each_pixel(y.shape(),
             [&](auto n, auto c, auto h, auto w) { y(n, c, h, w) = x(w, n, c * y.extent(2) + h); });
  y.store(call.y);
}

void run(const Flatten& call) {
  const Tensor x(call.x);
  Tensor y(call.y.shape);
  each_pixel(x.shape(), [&](auto n, auto c, auto h, auto w) {
    y(n, (c * x.extent(2) + h) * x.extent(3) + w) = x(n, c, h, w);
  });
  y.store(call.y);
}

void run(const Unflatten& call) {
  const Tensor x(call.x);
  Tensor y(call.y.shape);
  each_pixel(y.shape(), [&](auto n, auto c, auto h, auto w) {
    y(n, c, h, w) = x(n, (c * y.extent(2) + h) * y.extent(3) + w);
  });
  y.store(call.y);
}

}  // namespace scrawl::reference
