#include "bench/kernels/search.h"

#include <algorithm>

#include "bench/kernels/check.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

/// Of the outputs that both have.
std::string fault_of(Values got, Values& expected, double tolerance) {
  if (got.empty()) return "no outputs";
  if (expected.empty()) {
    auto fault = difference(got, got, 0);  // NaN is no distance from itself
    if (fault.empty()) expected = std::move(got);
    return fault;
  }
  Values common;
  for (const auto& [name, values] : expected)
    if (got.contains(name)) common.emplace(name, values);
  if (common.empty()) return "none of the outputs that are compared";
  return difference(got, common, tolerance);
}

}  // namespace

std::vector<Contender> variants_of(const Problem& problem, Device& device, const Selection& selection) {
  const auto names = std::make_shared<const std::vector<std::string>>(problem.variants(device, selection));
  auto ours = selection;
  ours.kernels = KernelSet::native;
  if (*names == problem.variants(device, ours)) return {};  // no library has the call
  std::vector<Contender> all;
  for (std::size_t i = 0; i < names->size(); ++i)
    all.push_back({.name = (*names)[i], .place = [=, &device, place = problem.place] {
                     auto chosen = selection;
                     chosen.without = std::span(*names).first(i);
                     return place(device, chosen);
                   }});
  return all;
}

Found search(const std::vector<Contender>& contenders, Values& expected, const Rules& rules,
             const std::function<Summary(Work&)>& time, Clock&& wall) {
  Found found;
  found.counts.plans = static_cast<int>(contenders.size());
  wall.start();
  for (const auto& contender : contenders) {
    if (contender.row.empty() && wall.stop_us() > rules.seconds * 1e6) {
      found.counts.is_cut_short = true;
      continue;
    }
    Attempt attempt{.name = contender.name, .type = contender.type, .row = contender.row};
    std::unique_ptr<Work> work;
    try {
      work = contender.place();
    } catch (const std::runtime_error& why) {
      attempt.refused = why.what();
      ++found.counts.refused;
    }
    if (work) try {
        ++found.counts.tried;
        work->run();
        attempt.wrong =
            fault_of(work->outputs(rules.compared), expected, std::max(rules.tolerance, contender.tolerance));
        if (attempt.wrong.empty())
          attempt.us = time(*work);
        else
          ++found.counts.wrong;
      } catch (const std::runtime_error& why) {
        attempt.refused = why.what();
        ++found.counts.failed;
      }
    if (attempt.us.samples > 0) {
      const auto best = std::ranges::find_if(found.best, [&](const Found::Best& other) {
        return other.type == contender.type && other.kind == contender.kind;
      });
      Found::Best own{contender.name, contender.type, contender.kind, attempt.us.median, std::move(work)};
      if (best == found.best.end())
        found.best.push_back(std::move(own));
      else if (own.us < best->us)
        *best = std::move(own);
    }
    if (found.attempts.empty()) wall.start();
    found.attempts.push_back(std::move(attempt));
  }
  return found;
}

}  // namespace scrawl::bench
