#pragma once
/// One block of a launch: its lanes are fibres of the calling thread. A lane runs until it waits, or until
/// the schedule takes its turn away; who runs next is drawn from the seed.

#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/residency.h"
#include "kernels/simt/address_space.h"
#include "kernels/simt/flags.h"
#include "kernels/simt/lane.h"
#include "kernels/simt/races.h"

namespace scrawl::simt {

/// What a launch asks for. A lane is a call of `lane(call)`.
struct Grid {
  static constexpr int most_threads = 1024;
  static constexpr std::size_t most_shared_bytes = 163 << 10;  // of sm_80; sm_90 has 227 KiB, sm_89 99 KiB

  std::string_view kernel;
  Dim blocks;
  int threads = 1;               ///< of a block
  std::size_t shared_bytes = 0;  ///< of a block
  Residency residency = Residency::apart;
  const void* function = nullptr;  ///< the kernel, by whose name Machine::counted lists it
  void (*lane)(const void* call);
  std::span<const std::byte> call;  ///< the kernel's arguments: host memory that lanes may read

  /// What a GPU would refuse it for; "" if nothing.
  std::string refusal() const;
};

/// How adversarial a run is.
struct Schedule {
  std::uint64_t seed = 0;
  /// Accesses that a lane makes before its turn may end, on average; 0: turns end where lanes wait only.
  int accesses_per_turn = 64;
  /// Turns after which a block counts as one that never ends.
  std::uint64_t most_turns = std::uint64_t{1} << 28;
  /// Whether accesses that nothing orders are reported. Blocks run one after the other then, and slowly.
  enum class LookFor : std::uint8_t { faults, races } look_for = LookFor::faults;

  /// Whether reads of undefined bytes are reported, or give the NaN that lies there.
  enum class Undefined : std::uint8_t { reported, read } undefined = Undefined::reported;

  /// Counts what the lanes do (Machine::counted), in so many blocks of each launch apart, spread evenly;
  /// the others do not run. 0: all blocks run, and nothing is counted.
  std::uint64_t counted_blocks = 0;

  // Mutants: what a test breaks in a kernel, by the place of a building block.

  const Site* without = nullptr;    ///< it does nothing
  const Site* divergent = nullptr;  ///< it does nothing in one lane, of the seed's choice
  const Site* shifted = nullptr;    ///< it reads the neighbour: the next lane, or the next address
};

inline constexpr std::size_t stack_bytes = 64 << 10;  ///< of a lane

/// Stacks with a page between them that faults.
class Stacks {
 public:
  explicit Stacks(int count);  ///< throws MemoryError
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  int count() const { return count_; }
  std::span<std::byte> at(int lane) const;
  bool holds(const void* address) const;

 private:
  int count_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What lanes asked of memory. One access is one of a lane.
struct Traffic {
  struct Of {
    std::uint64_t reads = 0, writes = 0, read_bytes = 0, written_bytes = 0;

    Of& operator+=(const Of&);
  } global, shared;

  Traffic& operator+=(const Traffic&);
};

class Block {
 public:
  /// What a block of a launch shares with others.
  struct Launch {
    AddressSpace& memory;
    const Grid& grid;
    const Schedule& schedule;
    Races* races;  ///< null where none are looked for
    Flags* flags;  ///< null where blocks are apart
  };
  Block(const Launch&, std::uint64_t number, Stacks&, std::byte* shared);

  /// Lets its lanes run until all wait or have returned, or so many turns are over. False, and `report` set,
  /// if something is wrong.
  bool run(std::uint64_t turns);
  bool can_run() const { return !ready_.empty(); }
  bool has_ended() const { return ended_ == grid_.threads; }
  const Report& report() const { return report_; }
  /// Where the lanes are, and what they wait for.
  std::string places() const;

  // For the lane that runs.

  const Grid& grid() const { return grid_; }
  Dim index() const { return index_; }
  int thread() const { return current_; }
  std::byte* shared() const { return shared_; }

  /// Waits for all lanes of the block.
  void sync(const Site&);
  /// Waits until so many lanes have come to a barrier by its number.
  void sync_named(int barrier, int threads, const Site&);
  void meet(const Meeting&);
  void raise_flag(std::uint32_t* flag, std::uint32_t value, const Site&, const void* instruction);
  void wait_flag(const std::uint32_t* flag, std::uint32_t value, const Site&, const void* instruction);
  void copy_async(void* to, const void* from, std::size_t bytes, std::size_t from_global, const Site&,
                  const void* instruction);
  void commit_copies(const Site&);
  void wait_copies(int groups_left, const Site&);
  void require_shared(const void* address, std::size_t bytes, const Site&);
  void read(const void* address, std::size_t bytes, const void* instruction) {
    if (quiet_) return;
    if (schedule_.counted_blocks > 0) count(address, bytes, Access::read);
    if (!is_plain(address, bytes)) access(address, bytes, Access::read, instruction);
  }
  void write(const void* address, std::size_t bytes, const void* instruction) {
    if (quiet_) return;
    if (schedule_.counted_blocks > 0) count(address, bytes, Access::write);
    if (!is_plain(address, bytes)) access(address, bytes, Access::write, instruction);
  }
  void aligned(const void* address, std::size_t bytes, const void* instruction);  ///< or fails
  void misaligned(const void* address, std::size_t bytes, const void* instruction);
  /// Ends the block. Its lanes are left as they are, not unwound: the compiler takes it that no access
  /// throws, and device code owns nothing.
  [[noreturn]] void fail(Fault, const std::string& what);
  void visit(const Site&);
  bool is_shifted(const Site& site) const { return schedule_.shifted && *schedule_.shifted == site; }

  /// The block whose lane the calling thread runs, or null.
  static Block* running() { return running_; }

  /// How often each lane came to a site.
  struct Visits {
    Site site;
    std::vector<std::uint32_t> of_lane;
  };
  const std::vector<Visits>& visits() const { return visits_; }
  const Traffic& traffic() const { return traffic_; }

 private:
  enum class Access : std::uint8_t { read, write };
  enum class Keep : std::uint8_t { nothing, lanes, warps };  ///< who keeps priorities
  enum class Waits : std::uint8_t { no, for_block, for_some, for_warp, for_flag, returned };
  class Quiet;
  using Context = boost::context::detail::fcontext_t;
  /// Of cp.async, between its call and its wait.
  struct Copy {
    std::byte* to;
    const std::byte* from;
    std::size_t bytes, from_global;
    int group;
    const void* instruction;
    std::array<std::byte, 16> seen;  ///< what lay at `from`
    bool has_moved;
  };
  struct Lane {
    Context context = nullptr;
    std::uint64_t priority = 0;
    Waits waits = Waits::no;
    const Site* site = nullptr;  ///< where it waits
    const Meeting* meeting = nullptr;
    const std::uint32_t* flag = nullptr;
    std::uint32_t flag_value = 0;
    std::vector<Copy> copies;
    int groups = 0;  ///< of copies that were committed
  };
  /// The lanes of a warp that wait in one meeting.
  struct Gathering {
    std::uint32_t here = 0;
    const Meeting* meeting = nullptr;  ///< of one of them
  };
  struct Barrier {
    std::vector<int> here;  ///< lanes
    int threads = 0;
  };
  static void enter(boost::context::detail::transfer_t);
  void end_lane();
  void switch_to_scheduler();
  void end_turn();  ///< the lane stays ready
  void wait(Waits, const Site&);
  void make_ready(int lane);
  void wake(int lane);
  int take_next();
  void draw_priority(int lane);
  void draw_turn();
  /// Whether an access within the turn needs no further look: of the own stack, or of bytes that are defined.
  bool is_plain(const void* address, std::size_t bytes) {
    if (bytes <= stack_bytes &&
        static_cast<std::size_t>(static_cast<const std::byte*>(address) - own_stack_) <= stack_bytes - bytes)
      return true;
    if (races_ || accesses_left_ == 1 || !memory_.holds(address) || !memory_.is_defined(address, bytes))
      return false;
    accesses_left_ -= accesses_left_ > 0;
    return true;
  }
  void count(const void* address, std::size_t bytes, Access);
  void access(const void* address, std::size_t bytes, Access, const void* instruction);
  void judge(const void* address, std::size_t bytes, Access, const void* instruction);
  void check_state(const void* address, std::size_t bytes, Access, const void* instruction);
  void order(const void* address, std::size_t bytes, Access, const void* instruction);
  void check_flag(const std::uint32_t* flag, Access, const Site&, const void* instruction);
  Races::Access race_access(const void* instruction) const { return {{number_, current_}, instruction}; }
  void move(Copy&);
  void land(Copy&);
  void move_some_copy();
  void check_place(const void* address, std::size_t bytes, Access, const void* instruction);
  bool is_left_out(const Site&);
  void complete(const Meeting&, std::uint32_t here);
  std::string describe(const void* address, std::size_t bytes, Access, const void* instruction) const;
  [[noreturn]] void fail_race(const std::string& access, const Races::Access& earlier);
  Report endless() const;

  static constinit thread_local Block* running_;

  AddressSpace& memory_;
  const Grid& grid_;
  std::uint64_t number_;
  Dim index_;
  Schedule schedule_;
  Stacks& stacks_;
  std::byte* shared_;
  std::vector<Visits> visits_;
  Traffic traffic_;
  std::array<int, 64> known_visits_;   ///< by a hash of the site: where it may be in visits_
  std::vector<Gathering> gatherings_;  ///< by warp
  const std::byte* own_stack_ = nullptr;
  Races* races_;
  Flags* flags_;
  std::vector<Lane> lanes_;
  struct Ready {
    std::uint64_t priority;
    int lane;
    bool operator<(const Ready& other) const { return priority < other.priority; }
  };
  std::vector<Ready> ready_;  ///< a heap, where priorities are kept
  std::array<Barrier, 16> barriers_;
  Keep keep_;
  Context scheduler_ = nullptr;
  std::minstd_rand random_;
  int current_ = -1, ended_ = 0, at_barrier_ = 0, accesses_left_ = 0;
  std::uint64_t turns_ = 0;
  bool failed_ = false,
       quiet_ = true;  ///< quiet: code of the machine runs, whose accesses are its own affair
  Report report_{};
};

/// While it lives, code of the machine runs for a lane.
class Block::Quiet {
 public:
  explicit Quiet(Block& block) : block_(block) { block_.quiet_ = true; }
  ~Quiet() { block_.quiet_ = false; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  Block& block_;
};

}  // namespace scrawl::simt
