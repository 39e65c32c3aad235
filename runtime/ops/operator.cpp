#include "runtime/ops/operator.h"

namespace scrawl {

TensorSpec image_spec(DType type, const Shape& shape) { return {type, shape, Order::channels_last, type}; }

TensorSpec matrix_spec(DType type, const Shape& shape) { return {type, shape, Order::row_major, type}; }

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::prepare:
      return "prepare";
    case Phase::forward:
      return "forward";
    case Phase::backward:
      return "backward";
    case Phase::update:
      return "update";
  }
  return "?";
}

double bytes_of(const Specs& inputs, const Specs& outputs) {
  double bytes = 0;
  for (const auto* specs : {&inputs, &outputs})
    for (const auto& s : *specs)
      if (s.present()) bytes += static_cast<double>(s.shape.count()) * static_cast<double>(size_of(s.type));
  return bytes;
}

std::uint32_t draw_key(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const unsigned char c : name) hash = (hash ^ c) * 16777619u;
  return hash;
}

void expect(bool condition, std::string_view op, std::string_view input, std::string_view expected,
            const TensorSpec& got) {
  if (!condition)
    throw ShapeError("{}: {}: expected {}, got {} {}", op, input, expected, name_of(got.type),
                     to_string(got.shape));
}

}  // namespace scrawl
