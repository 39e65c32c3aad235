#include "kernels/simt/address_space.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "kernels/error.h"

namespace scrawl::simt {

namespace {

constexpr std::size_t alignment = 256, page = 4096, gap = page;

std::byte* reserve(std::size_t bytes) {
  void* const range =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) throw MemoryError("simt: {} bytes of addresses could not be reserved", bytes);
  return static_cast<std::byte*>(range);
}

std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

}  // namespace

AddressSpace::AddressSpace() : base_(reserve(reserved)) {
  try {
    states_ = reserve(reserved);
  } catch (...) {
    munmap(base_, reserved);
    throw;
  }
  used_ = gap;
}

AddressSpace::~AddressSpace() {
  munmap(base_, reserved);
  munmap(states_, reserved);
}

void AddressSpace::fill(const std::byte* begin, std::size_t bytes, State state) {
  std::memset(states(begin), static_cast<int>(state), bytes);
}

void AddressSpace::poison(std::byte* begin, std::size_t bytes) {
  std::memset(begin, 0xff, bytes);
  fill(begin, bytes, State::undefined);
}

std::byte* AddressSpace::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto size = rounded(std::max<std::size_t>(bytes, 1));
  if (size + gap > reserved - used_) return nullptr;
  std::byte* const start = base_ + used_;
  used_ += size + gap;
  allocated_[start] = bytes;
  poison(start, bytes);
  return start;
}

bool AddressSpace::release(std::byte* start) {
  const std::lock_guard lock(mutex_);
  const auto found = allocated_.find(start);
  if (found == allocated_.end()) return false;
  fill(start, found->second, State::unallocated);
  // Whole pages go back to the system.
  const auto pages = [](std::byte* begin, std::size_t bytes) {
    auto* const first =
        reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page);
    const auto before = static_cast<std::size_t>(first - begin);
    if (bytes > before && (bytes - before) / page > 0)
      madvise(first, (bytes - before) / page * page, MADV_DONTNEED);
  };
  pages(start, found->second);
  pages(reinterpret_cast<std::byte*>(states(start)), found->second);
  allocated_.erase(found);
  return true;
}

std::pair<const std::byte*, std::size_t> AddressSpace::nearest(const void* address) const {
  const std::lock_guard lock(mutex_);
  const auto after = allocated_.upper_bound(static_cast<const std::byte*>(address));
  if (after == allocated_.begin()) return {nullptr, 0};
  return *std::prev(after);
}

}  // namespace scrawl::simt
