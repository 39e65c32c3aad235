#pragma once
/// Which of the vendor's ways to do a problem is the fastest: each is run once and compared, then timed
/// briefly.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/kernels/problems.h"
#include "bench/report.h"

namespace scrawl::bench {

/// One way of the vendor's to do a problem.
struct Contender {
  std::string name;       ///< "cudnn engine 41"
  std::string type = {};  ///< of its operands, where that may not be the problem's own: "f16"
  std::string kind = {};  ///< what it does, where contenders do not do the same: "without moments"
  double tolerance = 0;   ///< of its outputs, where that is more than the problem's own
  std::string row = {};   ///< the problem's name in that type, where each contender is reported by itself
  /// Takes memory, and may compile kernels. Throws Refused or an Error where there is no such way after all.
  std::function<std::unique_ptr<Work>()> place;
};

/// What became of a contender.
struct Attempt {
  std::string name, type, row;
  Summary us = {};
  std::string refused = {};  ///< why it cannot be had, or how it failed
  std::string wrong = {};    ///< what is wrong with its outputs: it was not timed
};

struct Found {
  Search counts;
  std::vector<Attempt> attempts;  ///< in the order of contenders, without those that no time was left for
  struct Best {
    std::string name, type, kind;
    double us;
    std::unique_ptr<Work> work;
  };
  std::vector<Best> best;  ///< of each type and kind, the fastest that is right
};

/// The variants of the vendor's that its backend has for a problem.
std::vector<Contender> variants_of(const Problem&, Device&, const Selection&);

/// What a search goes by.
struct Rules {
  double tolerance = 0;  ///< of outputs
  /// After which no further contender is placed, but those that are reported by themselves: they are few. The
  /// first, which opens the library, is beside them.
  double seconds = 2;
  std::int64_t compared = 0;  ///< elements at either end of an output
};

/// Holds one contender beside the best. `expected` has outputs that are right, of which a contender gives
/// those that it has; where it is empty, the first contender's own, if they are numbers, take its place.
Found search(const std::vector<Contender>&, Values& expected, const Rules&,
             const std::function<Summary(Work&)>& time, Clock&& wall = SteadyClock{});

}  // namespace scrawl::bench
