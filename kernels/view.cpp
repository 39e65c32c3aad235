#include "kernels/view.h"

#include "kernels/error.h"

namespace scrawl {

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  if (extents.size() > max_rank)
    throw ShapeError("shape: expected at most {} axes, got {}", max_rank, extents.size());
  for (const auto extent : extents) dims[static_cast<std::size_t>(rank++)] = extent;
}

std::int64_t Shape::count() const {
  std::int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= (*this)[i];
  return n;
}

std::string to_string(const Shape& shape) {
  std::string text;
  for (int i = 0; i < shape.rank; ++i) text += fmt::format("{}{}", i ? "x" : "", shape[i]);
  return text.empty() ? "scalar" : text;
}

Strides strides_of(const Shape& shape, Order order) {
  if (order == Order::channels_last) {
    if (shape.rank != 4) throw ShapeError("channels_last: expected N C H W, got {}", to_string(shape));
    const auto c = shape[1], h = shape[2], w = shape[3];
    return {h * w * c, 1, w * c, c};
  }
  Strides strides{};
  std::int64_t step = 1;
  for (int i = shape.rank - 1; i >= 0; --i) {
    strides[static_cast<std::size_t>(i)] = step;
    step *= shape[i];
  }
  return strides;
}

View make_view(void* data, DType type, const Shape& shape, Order order) {
  return {.data = data, .type = type, .shape = shape, .strides = strides_of(shape, order)};
}

bool is_plain(const View& view, Order order) {
  return !view.layout && view.strides == strides_of(view.shape, order);
}

void make_plain(View& view, Order order) {
  view.layout = nullptr;
  view.strides = strides_of(view.shape, order);
}

bool same_placement(const View& a, const View& b) {
  return a.layout == b.layout && (a.layout || a.strides == b.strides);
}

std::string to_string(const View& view) {
  return std::string(name_of(view.type)) + " " + to_string(view.shape);
}

}  // namespace scrawl
