#pragma once
/// A View is borrowed memory: pointer, type, logical shape, and where each element lies.
///
/// Logical orders: images N C H W (stored NHWC when plain), sequences T N C, matrices rows x columns,
/// convolution weights K C R S. Strides count elements. A View without data describes a tensor.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/dtype.h"

namespace scrawl {

inline constexpr int max_rank = 5;

/// Extents of a tensor, outermost first.
struct Shape {
  int rank = 0;
  std::array<std::int64_t, max_rank> dims{};

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  std::int64_t operator[](int i) const { return dims[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return dims[static_cast<std::size_t>(i)]; }
  std::int64_t count() const;  ///< number of elements; 1 for rank 0
  bool operator==(const Shape&) const = default;
};

std::string to_string(const Shape&);  ///< "64x1x64x256"

using Strides = std::array<std::int64_t, max_rank>;

/// Plain placements: last axis contiguous, or (rank 4 only) N C H W stored as NHWC. Images are
/// channels_last, everything else, convolution weights too, is row_major.
enum class Order : std::uint8_t { row_major, channels_last };

Strides strides_of(const Shape&, Order);

/// A backend's own placement of elements (blocked, packed). Only that backend reads it. Interned: equal
/// layouts have equal addresses, and live as long as the process.
struct Layout;

struct View {
  void* data = nullptr;
  DType type = DType::f32;
  Shape shape;
  Strides strides{};
  const Layout* layout = nullptr;  ///< when set, `strides` means nothing

  bool present() const { return shape.rank > 0; }  ///< optional operands are absent when default-made
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

View make_view(void* data, DType, const Shape&, Order = Order::row_major);
bool is_plain(const View&, Order);              ///< no opaque layout, exactly strides_of(shape, order)
void make_plain(View&, Order);                  ///< asks for a plain placement in place of any other
bool same_placement(const View&, const View&);  ///< same layout, or both strided with equal strides
std::string to_string(const View&);             ///< "bf16 64x32x32x128"

using Bytes = std::span<std::byte>;

/// A queue of work on a device: a cudaStream_t on CUDA, null on the CPU. Owned by runtime/device.
struct StreamTag;
using Stream = StreamTag*;

}  // namespace scrawl
