#pragma once
/// A GPU that is a CPU: memory, and workers on which the blocks of a launch run.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/simt/block.h"

namespace scrawl::simt {

/// How often one lane of a launch came to a building block, at most: what is serial in it.
struct Visits {
  Site site;
  std::uint32_t by_one_lane;
};

/// What the counted blocks of a launch did (Schedule::counted_blocks).
struct Counted {
  std::string kernel;    ///< as its launch calls it
  const void* function;  ///< Grid::function
  Dim blocks;
  int threads = 1;
  std::size_t shared_bytes = 0;
  Residency residency = Residency::apart;
  std::uint64_t counted_blocks = 0;
  Traffic traffic;
  /// How often lanes came to a building block: all of them ("multiply_add": 32 times a product), and at most
  /// one, which is what is serial.
  struct Times {
    std::uint64_t all = 0, one = 0;
  };
  std::map<std::string, Times, std::less<>> visits;  ///< by its name
};

/// What a machine has done so far.
struct Work {
  std::uint64_t launches = 0, lanes = 0;
  double seconds = 0;  ///< in launches
};

class Machine {
 public:
  /// `workers` threads run blocks: 0 takes as many as there are processors.
  explicit Machine(int workers = 0);
  ~Machine();

  AddressSpace& memory() { return memory_; }

  /// Runs a launch to its end, blocks in an order of the schedule's seed, or taking turns if they are
  /// together. What is wrong, of the block that comes first in that order.
  [[nodiscard]] std::optional<Report> run(const Grid&, const Schedule&);

  /// Every site that a lane came to so far, and since forget_visits.
  const std::vector<Visits>& visits() const { return visits_; }
  void forget_visits() { visits_.clear(); }
  /// Every launch that was counted, since forget_counted.
  const std::vector<Counted>& counted() const { return counted_; }
  void forget_counted() { counted_.clear(); }
  const Work& work() const { return work_; }

 private:
  struct Seat;
  struct Worker;
  using Order = std::vector<std::uint64_t>;  ///< of blocks, by their numbers

  std::optional<Report> run_apart(const Grid&, const Schedule&, const Order&, Races*);
  std::optional<Report> run_together(const Grid&, const Schedule&, const Order&, Races*);

  void note_counted(const Grid&, std::uint64_t blocks);

  AddressSpace memory_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Seat>> seats_;  ///< of the blocks of launches together
  std::vector<Visits> visits_;
  std::vector<Counted> counted_;
  Work work_;
};

}  // namespace scrawl::simt
