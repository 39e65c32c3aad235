/// What code compiled with -fsanitize=thread calls at each load and store. No sanitizer's runtime is linked:
/// these are its names. Outside kernels, in the launchers of the same files, they do nothing.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/simt/block.h"

namespace scrawl::simt {

namespace {

[[gnu::always_inline]] inline void read(const void* address, std::size_t bytes, const void* instruction) {
  if (auto* const block = Block::running()) block->read(address, bytes, instruction);
}

[[gnu::always_inline]] inline void write(void* address, std::size_t bytes, const void* instruction) {
  if (auto* const block = Block::running()) block->write(address, bytes, instruction);
}

/// Where accesses of this size must be aligned. The compiler reports structs of 16 bytes like vectors of 16,
/// and they need 8.
[[gnu::always_inline]] inline void align(const void* address, std::size_t bytes, const void* instruction) {
  if (reinterpret_cast<std::uintptr_t>(address) % std::min<std::size_t>(bytes, 8) == 0) return;
  if (auto* const block = Block::running()) block->misaligned(address, bytes, instruction);
}

}  // namespace

}  // namespace scrawl::simt

#define SCRAWL_ACCESS(size)                                          \
  void __tsan_read##size(void* address) {                            \
    scrawl::simt::align(address, size, __builtin_return_address(0)); \
    scrawl::simt::read(address, size, __builtin_return_address(0));  \
  }                                                                  \
  void __tsan_write##size(void* address) {                           \
    scrawl::simt::align(address, size, __builtin_return_address(0)); \
    scrawl::simt::write(address, size, __builtin_return_address(0)); \
  }

extern "C" {

SCRAWL_ACCESS(1)
SCRAWL_ACCESS(2)
SCRAWL_ACCESS(4)
SCRAWL_ACCESS(8)
SCRAWL_ACCESS(16)

void __tsan_read_range(void* address, std::size_t bytes) {
  scrawl::simt::read(address, bytes, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  scrawl::simt::write(address, bytes, __builtin_return_address(0));
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

#undef SCRAWL_ACCESS
