#pragma once
/// The memory of the machine: one reserved range of addresses, and beside each byte its state, so that every
/// access of a kernel can be judged by its address alone.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace scrawl::simt {

/// Of a byte. In flight: an asynchronous copy is bringing it.
enum class State : std::uint8_t { unallocated = 0, undefined = 1, defined = 2, in_flight = 3 };

class AddressSpace {
 public:
  AddressSpace();
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  /// 256-byte aligned, as cudaMalloc's; undefined and filled with NaN. Unallocated bytes lie on both sides,
  /// and no address is ever given out twice: a use after release is found whenever it comes. Null when the
  /// range is used up.
  std::byte* allocate(std::size_t bytes);

  /// False if nothing of that address is allocated.
  bool release(std::byte*);

  bool holds(const void* address) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_) < reserved;
  }

  /// The states of the bytes from this one of ours on.
  State* states(const void* address) const {
    return reinterpret_cast<State*>(states_ + (static_cast<const std::byte*>(address) - base_));
  }

  /// Whether all of these bytes of ours are.
  bool is_defined(const void* address, std::size_t bytes) const {
    constexpr std::uint64_t all = 0x0202020202020202;
    const State* const of = states(address);
    const auto differs = [&]<class Word>(Word) {
      Word word;
      std::memcpy(&word, of, sizeof word);
      return word != static_cast<Word>(all);
    };
    switch (bytes) {
      case 1:
        return *of == State::defined;
      case 2:
        return !differs(std::uint16_t{});
      case 4:
        return !differs(std::uint32_t{});
      case 8:
        return !differs(std::uint64_t{});
      default:
        return std::all_of(of, of + bytes, [](State state) { return state == State::defined; });
    }
  }

  /// Makes bytes undefined, and NaN as f32, f16 and bf16.
  void poison(std::byte* begin, std::size_t bytes);
  /// Of `bytes` that are allocated, the first `most` are left; the others are as if nobody had them.
  void limit(std::byte* begin, std::size_t bytes, std::size_t most) {
    fill(begin, bytes, State::unallocated);
    fill(begin, most, State::undefined);
  }
  void define(const std::byte* begin, std::size_t bytes) { fill(begin, bytes, State::defined); }

  /// The allocation that an address of ours is in or behind: its start and size. Null and 0 if there is none.
  std::pair<const std::byte*, std::size_t> nearest(const void* address) const;

 private:
  static constexpr std::size_t reserved = std::size_t{1} << 40;  // 1 TiB of addresses, not of memory

  void fill(const std::byte* begin, std::size_t bytes, State);

  std::byte *base_ = nullptr, *states_ = nullptr;
  mutable std::mutex mutex_;
  std::map<const std::byte*, std::size_t> allocated_;  ///< size by start
  std::size_t used_ = 0;
};

}  // namespace scrawl::simt
