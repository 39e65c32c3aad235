#pragma once
/// A row-major tensor of doubles. The loops of the specification work on these alone: types and strides are
/// dealt with where a tensor is read from a view and stored to one, and operands may alias as they please.

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/view.h"

namespace scrawl::reference {

class Tensor {
 public:
  Tensor() = default;  ///< absent, as an optional operand may be
  explicit Tensor(const Shape& shape, double fill = 0)
      : shape_(shape), values_(static_cast<std::size_t>(shape.count()), fill) {}
  explicit Tensor(
      const View&);  ///< reads strided elements of any type. Throws InternalError on an opaque layout.

  bool present() const { return shape_.rank > 0; }
  const Shape& shape() const { return shape_; }
  std::int64_t extent(int axis) const { return shape_[axis]; }
  std::span<double> values() { return values_; }
  std::span<const double> values() const { return values_; }

  template <class... Index>
  double& operator()(Index... index) {
    return values_[offset(index...)];
  }
  template <class... Index>
  double operator()(Index... index) const {
    return values_[offset(index...)];
  }

  /// Rounds to the view's type and places by its strides; nothing happens if either is absent.
  void store(const View&) const;

 private:
  template <class... Index>
  std::size_t offset(Index... index) const {
    std::int64_t at = 0;
    int axis = 0;
    ((at = at * shape_[axis++] + index), ...);
    return static_cast<std::size_t>(at);
  }

  Shape shape_;
  std::vector<double> values_;
};

/// Valid pixels or steps of sample n: widths(n) clamped to 0..all, or `all` where no widths are given.
inline std::int64_t valid(const Tensor& widths, std::int64_t n, std::int64_t all) {
  return widths.present() ? std::clamp<std::int64_t>(static_cast<std::int64_t>(widths(n)), 0, all) : all;
}

}  // namespace scrawl::reference
