#pragma once
/// Memory of a machine, for kernels that a test runs on it.

#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/simt/machine.h"

namespace scrawl::simt::teaching {

/// An array in the machine's memory.
template <class T>
class Array {
 public:
  Array(Machine& machine, std::size_t count) : machine_(machine), count_(count) {
    data_ = reinterpret_cast<T*>(machine.memory().allocate(count * sizeof(T)));
  }
  Array(Machine& machine, const std::vector<T>& values) : Array(machine, values.size()) {
    std::memcpy(data_, values.data(), count_ * sizeof(T));
    machine.memory().define(reinterpret_cast<std::byte*>(data_), count_ * sizeof(T));
  }
  ~Array() { machine_.memory().release(reinterpret_cast<std::byte*>(data_)); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const { return {data_, data_ + count_}; }

 private:
  Machine& machine_;
  std::size_t count_;
  T* data_;
};

inline std::vector<int> counted(std::size_t count) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

}  // namespace scrawl::simt::teaching
