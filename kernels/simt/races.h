#pragma once
/// Which accesses of a launch nothing orders. Each lane has a vector clock; lanes that meet join theirs, and
/// who waits for a flag joins that of who raised it. Two accesses to a byte, one of them a write, race unless
/// the later lane's clock has reached the earlier access. Raises and waits of a flag do not race with each
/// other; a plain access of its bytes races with them.
///
/// Source: Flanagan and Freund, FastTrack, PLDI 2009.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernels/residency.h"

namespace scrawl::simt {

/// A lane of a launch.
struct LaneOf {
  std::uint64_t block;
  int lane;
};

class Races {
 public:
  struct Access {
    LaneOf by;
    const void* instruction;
  };

  explicit Races(Residency residency) : residency_(residency) {}

  /// Lanes of a block to come; what the last one left in its shared memory is forgotten. Blocks apart follow
  /// each other.
  void begin_block(std::uint64_t block, int threads, std::span<const std::byte> shared);

  /// These lanes met: what any of them did before is ordered before what any does after.
  void meet(std::uint64_t block, std::span<const int> lanes);

  /// The earlier access that this one races with.
  std::optional<Access> read(const void* address, std::size_t bytes, const Access&);
  std::optional<Access> write(const void* address, std::size_t bytes, const Access&);

  /// As read and write. Raises of one flag must be ordered, too.
  std::optional<Access> raise(const std::uint32_t* flag, std::uint32_t value, const Access&);
  std::optional<Access> wait(const std::uint32_t* flag, std::uint32_t value, const Access&);

 private:
  using Clock = std::uint32_t;
  using Clocks = std::vector<Clock>;  ///< by lane of a block
  /// What is known of each block but one's own; null where nothing is.
  using Others = std::vector<std::shared_ptr<const Clocks>>;
  /// A vector clock. Lanes of a block mostly know the same of other blocks.
  struct Knowledge {
    Clocks own;
    std::shared_ptr<const Others> others;
  };
  using Team = std::vector<Knowledge>;  ///< by lane of a block

  enum class Kind : std::uint8_t { plain, flag };
  struct Event {
    Access access;
    Clock clock;
    Kind kind;
  };
  /// Of a byte: its last write, and those reads since that no later one is ordered after.
  struct History {
    std::optional<Event> write;
    std::vector<Event> reads;
  };
  struct Raise {
    std::uint32_t value;
    std::uint64_t block;
    Knowledge knowledge;
  };

  Knowledge& of(const LaneOf& by) { return teams_[by.block][static_cast<std::size_t>(by.lane)]; }
  Event event(const Access&, Kind);
  bool is_ordered(const Event& earlier, const LaneOf& by);
  std::optional<Access> read(const void*, std::size_t bytes, const Access&, Kind);
  std::optional<Access> write(const void*, std::size_t bytes, const Access&, Kind);
  static void join(std::shared_ptr<const Clocks>& into, const std::shared_ptr<const Clocks>& from);
  static void join(std::shared_ptr<const Others>& into, const std::shared_ptr<const Others>& from);
  static void join(Clocks& into, const Clocks& from);

  Residency residency_;
  std::unordered_map<std::uint64_t, Team> teams_;  ///< by block
  std::unordered_map<const std::byte*, History> histories_;
  std::unordered_map<const std::uint32_t*, std::vector<Raise>> raises_;  ///< to higher and higher values
};

}  // namespace scrawl::simt
