#pragma once
/// Which accesses of a launch nothing orders. Each lane has a vector clock; lanes that meet join theirs. Two
/// accesses to a byte, one of them a write, race unless the later lane's clock has reached the earlier
/// access; those of different blocks always do.
///
/// Source: Flanagan and Freund, FastTrack, PLDI 2009.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace scrawl::simt {

class Races {
 public:
  struct Access {
    std::uint64_t block;
    int lane;
    const void* instruction;
  };

  /// Lanes of the block to come; what the last one left in its shared memory is forgotten.
  void begin_block(std::uint64_t block, int threads, std::span<const std::byte> shared);

  /// These lanes met: what any of them did before is ordered before what any does after.
  void meet(std::span<const int> lanes);

  /// The earlier access that this one races with.
  std::optional<Access> read(const void* address, std::size_t bytes, int lane, const void* instruction);
  std::optional<Access> write(const void* address, std::size_t bytes, int lane, const void* instruction);

 private:
  using Clock = std::uint32_t;
  struct Event {
    Access access;
    Clock clock;
  };
  /// Of a byte: its last write, and those reads since that no later one is ordered after.
  struct History {
    std::optional<Event> write;
    std::vector<Event> reads;
  };

  Clock& clock(int of, int component) {
    return clocks_[static_cast<std::size_t>(of) * static_cast<std::size_t>(threads_) +
                   static_cast<std::size_t>(component)];
  }
  bool is_ordered(const Event& earlier, int lane) {
    return earlier.access.block == block_ && clock(lane, earlier.access.lane) >= earlier.clock;
  }

  std::uint64_t block_ = 0;
  int threads_ = 0;
  std::vector<Clock> clocks_;  ///< (lane, component)
  std::unordered_map<const std::byte*, History> histories_;
};

}  // namespace scrawl::simt
