#include "runtime/graph/memory.h"

#include <algorithm>
#include <numeric>

namespace scrawl {
namespace {

std::size_t aligned(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

bool alive_together(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

std::size_t peak_bytes(const std::vector<Lifetime>& lifetimes) {
  std::size_t peak = 0;
  for (const auto& at : lifetimes) {  // the peak begins where some lifetime begins
    std::size_t sum = 0;
    for (const auto& other : lifetimes)
      if (other.first <= at.first && at.first <= other.last) sum += aligned(other.bytes);
    peak = std::max(peak, sum);
  }
  return peak;
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes) {
  MemoryPlan plan{std::vector<std::size_t>(lifetimes.size(), 0), 0, peak_bytes(lifetimes)};
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](auto a, auto b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  std::vector<std::size_t> placed;  // by offset
  for (const auto i : order) {
    const auto bytes = aligned(lifetimes[i].bytes);
    std::size_t offset = 0;
    for (const auto other : placed) {
      if (!alive_together(lifetimes[i], lifetimes[other])) continue;
      if (offset + bytes <= plan.offsets[other]) break;  // fits into the gap before it
      offset = std::max(offset, plan.offsets[other] + aligned(lifetimes[other].bytes));
    }
    plan.offsets[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + bytes);
    if (bytes == 0) continue;
    const auto after = std::ranges::upper_bound(placed, offset, {}, [&](auto p) { return plan.offsets[p]; });
    placed.insert(after, i);
  }
  return plan;
}

}  // namespace scrawl
