#pragma once
/// A GPU that is a CPU: memory, and workers on which the blocks of a launch run.

#include <memory>
#include <optional>
#include <vector>

#include "kernels/simt/block.h"

namespace scrawl::simt {

class Machine {
 public:
  /// `workers` threads run blocks: 0 takes as many as there are processors.
  explicit Machine(int workers = 0);
  ~Machine();

  AddressSpace& memory() { return memory_; }

  /// Runs a launch to its end, blocks in an order of the schedule's seed. What is wrong, of the block that
  /// comes first in that order.
  [[nodiscard]] std::optional<Report> run(const Grid&, const Schedule&);

  /// Every site that a lane came to so far.
  const std::vector<Site>& sites() const { return sites_; }

 private:
  struct Worker;
  AddressSpace memory_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Site> sites_;
};

}  // namespace scrawl::simt
