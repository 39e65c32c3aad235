#pragma once
/// Two reports side by side: what got faster, slower or wrong in between.

#include <cstddef>
#include <string>
#include <vector>

#include "bench/report.h"

namespace scrawl::bench {

/// Medians may differ by so much and count as the same: a fraction of the smaller one.
inline constexpr double least_change = 0.03;

/// What became of a row that both reports have.
struct Change {
  enum class Kind : std::uint8_t {
    faster,
    slower,
    same,
    wrong_now,  ///< it passed, or nothing was wrong with it
    right_now,
    untimed,  ///< in one of them or in both, as on simt
  } kind;
  const Row* before;
  const Row* after;
  double times = 1;  ///< the slower median over the faster
};

struct Changes {
  std::vector<std::string> circumstances;  ///< "gpu: NVIDIA H100 -> NVIDIA H200": where headers differ
  std::vector<Change> rows;                ///< what is wrong now first, then by size of change
  std::size_t only_before = 0, only_after = 0;

  std::size_t count(Change::Kind) const;
  bool has_regressed() const;  ///< something is slower, or wrong now
};

/// Pairs rows of one name, variant, type, cache and device, in their order where several have all of these. A
/// time has changed where the intervals from 10th to 90th percentile are apart, and the medians by more than
/// least_change. Points into the reports, which must outlive it.
Changes changes_between(const Report& before, const Report& after);

/// Circumstances, a table of all that changed, and a line of counts.
std::string to_text(const Changes&);

}  // namespace scrawl::bench
