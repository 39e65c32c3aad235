#pragma once
/// Whether a variant's outputs are right, before it is timed.

#include <map>
#include <optional>
#include <string>

#include "bench/kernels/problems.h"

namespace scrawl::bench {

/// What differs by more than `tolerance`; "" if nothing does. Of argmax one in a hundred may differ, which is
/// what ties in another rounding can do.
std::string difference(const Values& got, const Values& expected, double tolerance);

/// The variants before `variant` among those that take a problem: without them it is the one that takes it.
/// None if it refuses.
std::optional<std::vector<std::string>> all_before(const Problem&, Device&, const Selection&,
                                                   const std::string& variant);

/// Compares variants of a GPU with the CPU at a small batch, and those of a CPU with the reference at small
/// extents, by f32 operands that are rounded alike.
class Checks {
 public:
  explicit Checks(Device&);

  /// What is wrong; "" if nothing is; none where the variant takes no small extent.
  std::optional<std::string> problem_of(const Name&, const std::string& variant, KernelSet);

 private:
  Device& device_;
  std::unique_ptr<Device> judge_;
  Extents extents_;
  std::map<std::string, Values> expected_;  ///< by name of the problem
  std::map<std::string, std::optional<std::string>> known_;
};

}  // namespace scrawl::bench
