#include "kernels/reference/tensor.h"

#include "kernels/error.h"

namespace scrawl::reference {
namespace {

/// Calls f(row-major index, offset in elements) for each element of a strided view.
template <class F>
void each_element(const View& view, F&& f) {
  if (view.layout)
    throw InternalError("reference: expected strides, got an opaque layout of {}", to_string(view));
  const auto count = view.shape.count();
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i, offset = 0;
    for (int axis = view.shape.rank - 1; axis >= 0; --axis) {
      offset += rest % view.shape[axis] * view.strides[static_cast<std::size_t>(axis)];
      rest /= view.shape[axis];
    }
    f(static_cast<std::size_t>(i), offset);
  }
}

/// Calls f with a null pointer to the element type.
template <class F>
void with_type(DType type, F&& f) {
  switch (type) {
    case DType::f32:
      return f(static_cast<float*>(nullptr));
    case DType::bf16:
      return f(static_cast<bf16*>(nullptr));
    case DType::f16:
      return f(static_cast<f16*>(nullptr));
    case DType::f64:
      return f(static_cast<double*>(nullptr));
    case DType::i32:
      return f(static_cast<std::int32_t*>(nullptr));
    case DType::i64:
      return f(static_cast<std::int64_t*>(nullptr));
    case DType::u8:
      return f(static_cast<std::uint8_t*>(nullptr));
  }
}

template <class T>
double widened(T value) {
  return static_cast<double>(value);
}
template <>
double widened(bf16 value) {
  return static_cast<float>(value);
}
template <>
double widened(f16 value) {
  return static_cast<float>(value);
}

template <class T>
T narrowed(double value) {
  return static_cast<T>(value);
}
template <>
bf16 narrowed(double value) {
  return bf16(static_cast<float>(value));
}
template <>
f16 narrowed(double value) {
  return f16(static_cast<float>(value));
}

}  // namespace

Tensor::Tensor(const View& view) : shape_(view.shape) {
  if (!view.present()) return;
  values_.resize(static_cast<std::size_t>(shape_.count()));
  with_type(view.type, [&]<class T>(T*) {
    each_element(
        view, [&](std::size_t i, std::int64_t offset) { values_[i] = widened(view.as<const T>()[offset]); });
  });
}

void Tensor::store(const View& view) const {
  if (!view.present() || !present()) return;
  if (view.shape != shape_)
    throw InternalError("reference: expected {}, got {}", to_string(shape_), to_string(view));
  with_type(view.type, [&]<class T>(T*) {
    each_element(view,
                 [&](std::size_t i, std::int64_t offset) { view.as<T>()[offset] = narrowed<T>(values_[i]); });
  });
}

}  // namespace scrawl::reference
