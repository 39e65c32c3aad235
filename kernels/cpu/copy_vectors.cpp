#include "kernels/cpu/copy_vectors.h"

#include <utility>

#include "kernels/cpu/layout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vector.h"

namespace scrawl::cpu {

namespace {

/// An axis of pixels: how many, and how far apart where they are vectors and where they are values.
struct Axis {
  std::int64_t count, between_vectors, between_values;
};

/// The same image as vectors of 16 channels and as values in strides.
struct Rearrangement {
  ChannelVectors vectors;
  std::int64_t image_stride, channel_stride;  ///< of the values
  Axis outer, inner;                          ///< without unit channel stride, the inner axis has it
  bool to_vectors;
};

Rearrangement rearrangement(const Copy& call) {
  const bool to_vectors = call.y.layout != nullptr;
  const auto& blocked = to_vectors ? call.y : call.x;
  const auto& values = to_vectors ? call.x : call.y;
  const auto vectors = blocked.layout ? channel_vectors(blocked) : std::nullopt;
  if (!vectors || values.layout)
    throw Refused("needs channel blocks on one side, strides on the other, got {} and {}",
                  placement_of(call.x), placement_of(call.y));
  const auto& strides = values.strides;
  Rearrangement r{.vectors = *vectors,
                  .image_stride = strides[0],
                  .channel_stride = strides[1],
                  .outer = {vectors->height, vectors->row_stride, strides[2]},
                  .inner = {vectors->width, vectors->pixel_stride, strides[3]},
                  .to_vectors = to_vectors};
  auto &rows = r.outer, &pixels = r.inner;
  if (pixels.count == 1 || (rows.count > 1 && rows.between_values == 1)) std::swap(rows, pixels);
  const bool one_run = rows.between_vectors == pixels.count * pixels.between_vectors &&
                       rows.between_values == pixels.count * pixels.between_values;
  if (one_run) pixels.count *= std::exchange(rows.count, 1);
  if (r.channel_stride != 1 && pixels.between_values != 1 && pixels.count > 1)
    throw Refused("needs unit stride along C, H or W, got {}", placement_of(values));
  return r;
}

/// Sixteen channels: `count` pixels as vectors against `channels` runs of `count` values.
template <class T>
void transpose_tile(const Rearrangement& r, T* vectors, T* values, int channels, int count) {
  f32x16 tile[lanes] = {};
  if (r.to_vectors) {
    for (int c = 0; c < channels; ++c) tile[c] = load(values + c * r.channel_stride, count);
    transpose(tile);
    for (int i = 0; i < count; ++i) store(vectors + i * r.inner.between_vectors, tile[i]);
  } else {
    for (int i = 0; i < count; ++i) tile[i] = load(vectors + i * r.inner.between_vectors);
    transpose(tile);
    for (int c = 0; c < channels; ++c) store(values + c * r.channel_stride, tile[c], count);
  }
}

/// Sixteen channels of `kCount` pixels, where the values of all of them are one run.
template <class T, int kCount>
void interleave_tile(const Rearrangement& r, T* vectors, T* values) {
  f32x16 tile[kCount];
  if (r.to_vectors) {
    for (int i = 0; i < kCount; ++i) tile[i] = load(values + i * lanes);
    deinterleave(tile);
    for (int i = 0; i < kCount; ++i) store(vectors + i * r.inner.between_vectors, tile[i]);
  } else {
    for (int i = 0; i < kCount; ++i) tile[i] = load(vectors + i * r.inner.between_vectors);
    interleave(tile);
    for (int i = 0; i < kCount; ++i) store(values + i * lanes, tile[i]);
  }
}

template <class T>
void move_row(const Rearrangement& r, T* vectors, T* values, int channels) {
  const auto [count, between_vectors, between_values] = r.inner;
  if (r.channel_stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) {
      T *const vector = vectors + i * between_vectors, *const value = values + i * between_values;
      if (r.to_vectors)
        store(vector, load(value, channels));
      else
        store(value, load(vector), channels);
    }
    return;
  }
  if (channels == lanes && between_values == 1 && r.channel_stride == count) {
    if (count == 2) return interleave_tile<T, 2>(r, vectors, values);
    if (count == 4) return interleave_tile<T, 4>(r, vectors, values);
    if (count == 8) return interleave_tile<T, 8>(r, vectors, values);
  }
  for (std::int64_t i = 0; i < count; i += lanes)
    transpose_tile(r, vectors + i * between_vectors, values + i, channels,
                   static_cast<int>(std::min<std::int64_t>(count - i, lanes)));
}

template <class T>
void rearrange(const Rearrangement& r, T* vectors, T* values, int threads) {
  const auto& v = r.vectors;
  const auto rows = r.outer.count;
  parallel_for(threads, v.images * v.blocks * rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const auto n = i / rows / v.blocks, block = i / rows % v.blocks, row = i % rows;
      move_row(r, vectors + n * v.image_stride + block * v.block_stride + row * r.outer.between_vectors,
               values + n * r.image_stride + block * lanes * r.channel_stride + row * r.outer.between_values,
               static_cast<int>(std::min<std::int64_t>(v.channels - block * lanes, lanes)));
    }
  });
}

}  // namespace

Plan<Copy> plan_copy_vectors(Copy& call, const Selection& selection) {
  if (call.x.type != call.y.type || call.scale != 1 || call.offset != 0)
    throw Refused("needs one type and no scale, got {} and {}", name_of(call.x.type), name_of(call.y.type));
  if (call.x.type != DType::f32 && size_of(call.x.type) != 2)
    throw Refused("needs f32, bf16 or f16, got {}", name_of(call.x.type));
  const auto r = rearrangement(call);
  return {.run = [r, threads = selection.threads](const Copy& c, Bytes, Stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      if (r.to_vectors)
        rearrange(r, c.y.as<T>(), c.x.as<T>(), threads);
      else
        rearrange(r, c.x.as<T>(), c.y.as<T>(), threads);
    });
  }};
}

}  // namespace scrawl::cpu
