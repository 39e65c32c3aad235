#pragma once
/// What planners ask of operands, and the types that kernels are compiled for.

#include "kernels/view.h"

namespace scrawl {

/// Asks for row-major memory, for each operand that is there.
template <class... Views>
void make_row_major(Views&... views) {
  ((views.present() ? make_plain(views, Order::row_major) : void()), ...);
}

/// Asks for NHWC (of weights: K R S C), for each operand that is there.
template <class... Views>
void make_channels_last(Views&... views) {
  ((views.present() ? make_plain(views, Order::channels_last) : void()), ...);
}

/// Leaves plain placements alone and asks for one in place of others.
inline void make_dense(View& view) {
  if (is_plain(view, Order::row_major) || (view.shape.rank == 4 && is_plain(view, Order::channels_last)))
    return;
  make_plain(view, view.shape.rank == 4 ? Order::channels_last : Order::row_major);
}

/// Asks for the placement that another view of the same shape has.
inline void place_as(View& view, const View& other) {
  view.layout = other.layout;
  view.strides = other.strides;
}

/// Whether vectors of 16 bytes may start here.
inline bool is_vector_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

/// Calls `f.template operator()<T>()` with the C++ type of a storage type: f32, bf16 or f16.
template <class F>
void dispatch_storage(DType type, F&& f) {
  switch (type) {
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::f16:
      return f.template operator()<f16>();
    default:
      return f.template operator()<float>();
  }
}

}  // namespace scrawl
