/// Pooling over channel vectors: each row is read and written once, with no pass that clears.

#include "kernels/pool.h"

#include <optional>

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/images.h"
#include "kernels/cpu/planners.h"
#include "kernels/cpu/pool_variants.h"
#include "kernels/cpu/pooling.h"

namespace scrawl::cpu {
namespace {

template <class T, class Index, int kR, int kS>
void max_forward(const PoolForward& call, int threads) {
  const WindowGrid grid(call.params);
  const Image<T> x(call.x), y(call.y);
  std::optional<Image<Index>> argmax;
  if (call.argmax.present()) argmax.emplace(call.argmax);
  each_row(threads, y.vectors, [&](std::int64_t n, std::int64_t p, std::int64_t block) {
    const auto windows = valid_width(call.y_widths, n, y.vectors.width);
    const auto width = valid_width(call.x_widths, n, x.vectors.width);
    const Plane<T> from = x.plane(n, block), to = y.plane(n, block);
    const Plane<Index> index = argmax ? argmax->plane(n, block) : Plane<Index>{};
    const auto pixel = [&](std::int64_t h, std::int64_t w) { return from.load(h, w); };
    max_row<kR, kS>(grid, p, windows, x.vectors.height, width, pixel,
                    [&](std::int64_t q, const Maximum& best) {
                      to.store(p, q, best.value);
                      if (index.data) store_index(index, p, q, best.index);
                    });
    to.zero(p, windows, y.vectors.width);
    if (index.data) index.zero(p, windows, y.vectors.width);
  });
}

template <class T, class Index, int kR, int kS>
void max_backward(const PoolBackward& call, int threads) {
  const WindowGrid grid(call.params);
  const Image<T> dx(call.dx), dy(call.dy);
  const Image<Index> argmax(call.argmax);
  each_row(threads, dx.vectors, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
    const auto windows = valid_width(call.y_widths, n, dy.vectors.width);
    const auto width = valid_width(call.x_widths, n, dx.vectors.width);
    const Plane<T> from = dy.plane(n, block), to = dx.plane(n, block);
    const Plane<Index> index = argmax.plane(n, block);
    gradient_row<kR, kS>(
        grid, h, width, dy.vectors.height, windows,
        [&](std::int64_t p, std::int64_t q, int i) {
          return select(equal(index.load(p, q), broadcast(i)), from.load(p, q), f32x16{});
        },
        [&](std::int64_t w, f32x16 gradient) { to.store(h, w, gradient); });
    to.zero(h, width, dx.vectors.width);
  });
}

/// 1 / pixels of window (p, q) inside an image of height x width; 0 where there are none.
float share(const WindowGrid& grid, std::int64_t p, std::int64_t q, std::int64_t height, std::int64_t width) {
  const auto rows = grid.rows.inside(p, height), columns = grid.columns.inside(q, width);
  if (rows.begin >= rows.end || columns.begin >= columns.end) return 0;
  return 1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
}

template <class T>
void average_forward(const PoolForward& call, int threads) {
  const WindowGrid grid(call.params);
  const Image<T> x(call.x), y(call.y);
  each_row(threads, y.vectors, [&](std::int64_t n, std::int64_t p, std::int64_t block) {
    const auto windows = valid_width(call.y_widths, n, y.vectors.width);
    const auto width = valid_width(call.x_widths, n, x.vectors.width);
    const Plane<T> from = x.plane(n, block), to = y.plane(n, block);
    const auto rows = grid.rows.inside(p, x.vectors.height);
    for (std::int64_t q = 0; q < windows; ++q) {
      const auto columns = grid.columns.inside(q, width);
      f32x16 total{};
      for (auto h = rows.begin; h < rows.end; ++h)
        for (auto w = columns.begin; w < columns.end; ++w) total += from.load(h, w);
      to.store(p, q, total * share(grid, p, q, x.vectors.height, width));
    }
    to.zero(p, windows, y.vectors.width);
  });
}

template <class T>
void average_backward(const PoolBackward& call, int threads) {
  const WindowGrid grid(call.params);
  const Image<T> dx(call.dx), dy(call.dy);
  each_row(threads, dx.vectors, [&](std::int64_t n, std::int64_t h, std::int64_t block) {
    const auto windows = valid_width(call.y_widths, n, dy.vectors.width);
    const auto width = valid_width(call.x_widths, n, dx.vectors.width);
    const Plane<T> from = dy.plane(n, block), to = dx.plane(n, block);
    gradient_row<0, 0>(
        grid, h, width, dy.vectors.height, windows,
        [&](std::int64_t p, std::int64_t q, int) {
          return from.load(p, q) * share(grid, p, q, dx.vectors.height, width);
        },
        [&](std::int64_t w, f32x16 gradient) { to.store(h, w, gradient); });
    to.zero(h, width, dx.vectors.width);
  });
}

Plan<PoolForward> plan_forward(PoolForward& call, const Selection& selection) {
  make_readable(call.x);
  place_like(call.y, call.x);
  place_argmax(call.argmax, call.x);
  make_row_major(call.x_widths, call.y_widths);
  return {.run = [threads = selection.threads](const PoolForward& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      if (c.params.kind == PoolKind::average) return average_forward<T>(c, threads);
      dispatch_argmax(c.params,
                      [&]<class Index, int kR, int kS>() { max_forward<T, Index, kR, kS>(c, threads); });
    });
  }};
}

Plan<PoolBackward> plan_backward(PoolBackward& call, const Selection& selection) {
  make_readable(call.dy);
  accept_argmax(call.argmax);
  place_like(call.dx, call.dy);
  make_row_major(call.x_widths, call.y_widths);
  return {.run = [threads = selection.threads](const PoolBackward& c, Bytes, Stream) {
    dispatch_storage(c.dx.type, [&]<class T>() {
      if (c.params.kind == PoolKind::average) return average_backward<T>(c, threads);
      dispatch_argmax(c.params,
                      [&]<class Index, int kR, int kS>() { max_backward<T, Index, kR, kS>(c, threads); });
    });
  }};
}

void widths_through(const WindowWidths& call) {
  const auto* const in = call.widths.as<const std::int32_t>();
  auto* const out = call.out.as<std::int32_t>();
  for (std::int64_t n = 0; n < call.widths.shape[0]; ++n) {
    const auto room = in[n] + call.pad_left + call.pad_right - call.extent;
    const auto windows = room < 0 ? 0 : room / call.stride + 1;
    out[n] = in[n] <= 0 ? 0 : static_cast<std::int32_t>(std::clamp<std::int64_t>(windows, 1, call.width));
  }
}

Plan<WindowWidths> plan_widths(WindowWidths& call, const Selection&) {
  make_row_major(call.widths, call.out);
  return {.run = [](const WindowWidths& c, Bytes, Stream) { widths_through(c); }};
}

}  // namespace

Plan<PoolForward> pool_forward(PoolForward& call, const Selection& selection) {
  static constexpr Variant<PoolForward> variants[] = {{"channel_vectors", Origin::native, plan_forward},
                                                      {"onednn", Origin::vendor, pool_forward_onednn}};
  check(call);
  return first_variant<PoolForward>("pool_forward", variants, call, selection);
}

Plan<PoolBackward> pool_backward(PoolBackward& call, const Selection& selection) {
  static constexpr Variant<PoolBackward> variants[] = {{"channel_vectors", Origin::native, plan_backward},
                                                       {"onednn", Origin::vendor, pool_backward_onednn}};
  check(call);
  return first_variant<PoolBackward>("pool_backward", variants, call, selection);
}

Plan<WindowWidths> window_widths(WindowWidths& call, const Selection& selection) {
  static constexpr Variant<WindowWidths> variants[] = {{"loop", Origin::native, plan_widths}};
  check(call);
  return first_variant<WindowWidths>("window_widths", variants, call, selection);
}

}  // namespace scrawl::cpu
