#pragma once
/// One block of a launch: its lanes are fibres of the calling thread. A lane runs until it waits, or until
/// the schedule takes its turn away; who runs next is drawn from the seed.

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/simt/address_space.h"
#include "kernels/simt/lane.h"
#include "kernels/simt/races.h"

namespace scrawl::simt {

/// What a launch asks for. A lane is a call of `lane(call)`.
struct Grid {
  static constexpr int most_threads = 1024;
  static constexpr std::size_t most_shared_bytes = 227 << 10;  // of sm_90; sm_80 has 163 KiB, sm_89 99 KiB

  std::string_view kernel;
  Dim blocks;
  int threads = 1;               ///< of a block
  std::size_t shared_bytes = 0;  ///< of a block
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
  /// Whether accesses that nothing orders are reported. Blocks run one after the other then, and slowly.
  enum class LookFor : std::uint8_t { faults, races } look_for = LookFor::faults;
  /// A building block that is to do nothing: a mutant.
  const Site* without = nullptr;
};

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

class Block {
 public:
  Block(AddressSpace&, const Grid&, Dim index, const Schedule&, Stacks&, std::byte* shared,
        std::vector<Site>& sites, Races* races);

  /// Runs every lane to its end. False, and `report` set, if something is wrong.
  bool run();
  const Report& report() const { return report_; }

  // For the lane that runs.

  const Grid& grid() const { return grid_; }
  Dim index() const { return index_; }
  int thread() const { return current_; }
  std::byte* shared() const { return shared_; }

  /// Waits for all lanes of the block.
  void sync(const Site&);
  void meet(const Meeting&);
  void read(const void* address, std::size_t bytes, const void* instruction);
  void write(const void* address, std::size_t bytes, const void* instruction);
  void misaligned(const void* address, std::size_t bytes, const void* instruction);
  /// Ends the block. Its lanes are left as they are, not unwound: the compiler takes it that no access
  /// throws, and device code owns nothing.
  [[noreturn]] void fail(Fault, const std::string& what);
  bool has_failed() const { return failed_; }

  /// The block whose lane the calling thread runs, or null.
  static Block* running();

 private:
  enum class Access : std::uint8_t { read, write };
  enum class Keep : std::uint8_t { nothing, lanes, warps };  ///< who keeps priorities
  enum class Waits : std::uint8_t { no, for_block, for_warp, returned };
  class Quiet;
  using Context = boost::context::detail::fcontext_t;
  struct Lane {
    Context context = nullptr;
    std::uint64_t priority = 0;
    Waits waits = Waits::no;
    const Site* site = nullptr;  ///< where it waits
    const Meeting* meeting = nullptr;
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
  void access(const void* address, std::size_t bytes, Access, const void* instruction);
  void check_place(const void* address, std::size_t bytes, Access, const void* instruction);
  bool is_left_out(const Site&);
  std::string describe(const void* address, std::size_t bytes, Access, const void* instruction) const;
  [[noreturn]] void fail_race(const std::string& access, const Races::Access& earlier);
  Report stuck() const;

  AddressSpace& memory_;
  const Grid& grid_;
  Dim index_;
  Schedule schedule_;
  Stacks& stacks_;
  std::byte* shared_;
  std::vector<Site>& sites_;
  Races* races_;  ///< null where none are looked for
  std::vector<Lane> lanes_;
  std::vector<int> ready_;  ///< a heap by priority
  Keep keep_;
  Context scheduler_ = nullptr;
  std::minstd_rand random_;
  int current_ = -1, ended_ = 0, at_barrier_ = 0, accesses_left_ = 0;
  bool failed_ = false,
       quiet_ = true;  ///< quiet: code of the machine runs, whose accesses are its own affair
  Report report_{};
};

}  // namespace scrawl::simt
