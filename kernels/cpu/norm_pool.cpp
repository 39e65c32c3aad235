/// Batch norm, ReLU and max pooling as one: the normalised image never exists. Forward reads x twice
/// (moments, then maxima); backward reads it twice and writes dx once, the gradient of z coming from dy and
/// argmax.

#include <optional>

#include "kernels/check.h"
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/norm_variants.h"
#include "kernels/cpu/planners.h"
#include "kernels/cpu/pooling.h"

namespace scrawl::cpu {
namespace {

template <class T, class Index, int kR, int kS>
void pool_normalised(const BatchNormPoolForward& call, const ChannelAffines& affines, int threads) {
  const WindowGrid grid(call.pool);
  const Image<T> x(call.x), y(call.y);
  std::optional<Image<Index>> argmax;
  if (call.argmax.present()) argmax.emplace(call.argmax);
  each_row(threads, y.vectors, [&](std::int64_t n, std::int64_t p, std::int64_t block) {
    const auto windows = valid_width(call.y_widths, n, y.vectors.width);
    const auto width = valid_width(call.x_widths, n, x.vectors.width);
    const Plane<T> from = x.plane(n, block), to = y.plane(n, block);
    const Plane<Index> index = argmax ? argmax->plane(n, block) : Plane<Index>{};
    const ChannelAffine z = affines[block];
    const auto pixel = [&](std::int64_t h, std::int64_t w) { return max(f32x16{}, z(from.load(h, w))); };
    max_row<kR, kS>(grid, p, windows, x.vectors.height, width, pixel,
                    [&](std::int64_t q, const Maximum& best) {
                      to.store(p, q, best.value);
                      if (index.data) store_index(index, p, q, best.index);
                    });
    to.zero(p, windows, y.vectors.width);
    if (index.data) index.zero(p, windows, y.vectors.width);
  });
}

/// The operands of the backward, and how a row of x meets the gradients of z.
template <class T, class Index, int kR, int kS>
struct Backward {
  const BatchNormPoolBackward& call;
  WindowGrid grid{call.pool};
  Image<T> x{call.x}, y{call.y}, dy{call.dy}, dx{call.dx};
  Image<Index> argmax{call.argmax};

  /// Calls emit(w, x, g) for the valid pixels of a row, g the gradient of z.
  template <class Emit>
  [[gnu::always_inline]] void row(std::int64_t n, std::int64_t h, std::int64_t block, Emit emit) const {
    const Plane<T> pixels = x.plane(n, block), maxima = y.plane(n, block), gradients = dy.plane(n, block);
    const Plane<Index> index = argmax.plane(n, block);
    gradient_row<kR, kS>(
        grid, h, valid_width(call.x_widths, n, x.vectors.width), y.vectors.height,
        valid_width(call.y_widths, n, y.vectors.width),
        [&](std::int64_t p, std::int64_t q, int i) {
          const f32x16 alive =
              select(less_equal(maxima.load(p, q), f32x16{}), f32x16{}, gradients.load(p, q));
          return select(equal(index.load(p, q), broadcast(i)), alive, f32x16{});
        },
        [&](std::int64_t w, f32x16 g) { emit(w, pixels.load(h, w), g); });
  }

  void run(const BackwardScratch& scratch, int threads) const {
    sum_gradients(x.vectors, scratch.sums, threads, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
      const auto left = x.vectors.channels - block * lanes;
      const f32x16 mean = load(call.mean.as<const float>() + block * lanes,
                               static_cast<int>(std::min<std::int64_t>(left, lanes)));
      f32x16 g_sum{}, gx_sum{};
      row(n, h, block, [&](std::int64_t, f32x16 pixel, f32x16 g) {
        g_sum += g;
        gx_sum += g * (pixel - mean);
      });
      return std::pair(g_sum, gx_sum);
    });
    finish_sums(call, call.x_widths, scratch);
    each_row(threads, x.vectors, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
      const Plane<T> to = dx.plane(n, block);
      const ChannelAffine affine = scratch.affine[block];
      const f32x16 gain = load(scratch.gain + block * lanes);
      row(n, h, block,
          [&](std::int64_t w, f32x16 pixel, f32x16 g) { to.store(h, w, gain * (g + affine(pixel))); });
      to.zero(h, valid_width(call.x_widths, n, x.vectors.width), x.vectors.width);
    });
  }
};

Plan<BatchNormPoolForward> plan_forward(BatchNormPoolForward& call, const Selection& selection) {
  make_readable(call.x);
  place_like(call.y, call.x);
  place_argmax(call.argmax, call.x);
  make_row_major(call.gamma, call.beta, call.mean, call.variance, call.x_widths, call.y_widths);
  return {.workspace_bytes = scratch_bytes<ForwardScratch>(call.x.shape),
          .run = [threads = selection.threads](const BatchNormPoolForward& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const ForwardScratch scratch(workspace, c.x.shape);
            normalise_by_moments(c.x, c.x_widths, c.gamma, c.beta, c.epsilon, c.mean, c.variance, scratch,
                                 threads);
            dispatch_storage(c.x.type, [&]<class T>() {
              dispatch_argmax(c.pool, [&]<class Index, int kR, int kS>() {
                pool_normalised<T, Index, kR, kS>(c, scratch.affine, threads);
              });
            });
          }};
}

Plan<BatchNormPoolBackward> plan_backward(BatchNormPoolBackward& call, const Selection& selection) {
  make_readable(call.x);
  make_readable(call.y);
  make_readable(call.dy);
  accept_argmax(call.argmax);
  place_like(call.dx, call.x);
  make_row_major(call.gamma, call.mean, call.variance, call.dgamma, call.dbeta, call.x_widths, call.y_widths);
  return {.workspace_bytes = scratch_bytes<BackwardScratch>(call.x.shape),
          .run = [threads = selection.threads](const BatchNormPoolBackward& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            const BackwardScratch scratch(workspace, c.x.shape);
            dispatch_storage(c.x.type, [&]<class T>() {
              dispatch_argmax(c.pool, [&]<class Index, int kR, int kS>() {
                Backward<T, Index, kR, kS>{c}.run(scratch, threads);
              });
            });
          }};
}

}  // namespace

Plan<BatchNormPoolForward> batch_norm_pool_forward(BatchNormPoolForward& call, const Selection& selection) {
  static constexpr Variant<BatchNormPoolForward> variants[] = {
      {"channel_vectors", Origin::native, plan_forward},
      {"onednn", Origin::vendor, batch_norm_pool_forward_onednn}};
  check(call);
  return first_variant<BatchNormPoolForward>("batch_norm_pool_forward", variants, call, selection);
}

Plan<BatchNormPoolBackward> batch_norm_pool_backward(BatchNormPoolBackward& call,
                                                     const Selection& selection) {
  static constexpr Variant<BatchNormPoolBackward> variants[] = {
      {"channel_vectors", Origin::native, plan_backward},
      {"onednn", Origin::vendor, batch_norm_pool_backward_onednn}};
  check(call);
  return first_variant<BatchNormPoolBackward>("batch_norm_pool_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
