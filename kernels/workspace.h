#pragma once
/// A workspace in pieces.

#include <cstddef>
#include <cstdint>

#include "kernels/view.h"

namespace scrawl {

/// Cuts a workspace into arrays, each on a 64-byte boundary. Made without a workspace it only counts bytes,
/// so that one function says what a kernel needs, to its planner and to itself.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(Bytes bytes) : begin_(bytes.data()) {}

  template <class T>
  T* take(std::int64_t count) {
    T* const array = begin_ ? reinterpret_cast<T*>(begin_ + taken_) : nullptr;
    taken_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return array;
  }

  std::size_t bytes() const { return taken_; }

 private:
  std::byte* begin_ = nullptr;
  std::size_t taken_ = 0;
};

}  // namespace scrawl
