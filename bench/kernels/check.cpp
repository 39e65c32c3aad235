#include "bench/kernels/check.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/kernels/reference_device.h"

namespace scrawl::bench {

namespace {

constexpr std::int64_t all = std::int64_t{1} << 30;

bool are_whole(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return v == std::floor(v); });
}

}  // namespace

std::string difference(const Values& got, const Values& expected, double tolerance) {
  for (const auto& [name, reference] : expected) {
    const auto found = got.find(name);
    if (found == got.end() || found->second.size() != reference.size())
      return fmt::format("{}: expected {} elements, got {}", name, reference.size(),
                         found == got.end() ? 0 : found->second.size());
    double error = 0, norm = 0;
    std::size_t others = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const double y = found->second[i], r = reference[i];
      error += (y - r) * (y - r);
      norm += r * r;
      others += y != r;
    }
    if (name == "argmax" && are_whole(reference) && are_whole(found->second)) {
      if (100 * others > reference.size())
        return fmt::format("{}: {} of {} integers differ", name, others, reference.size());
      continue;
    }
    const double distance = std::sqrt(error) / std::max(std::sqrt(norm), 1e-30);
    // Not `>`: NaN is wrong.
    if (!(distance <= tolerance))
      return fmt::format("{}: expected a relative distance of at most {:.2g}, got {:.2g}", name, tolerance,
                         distance);
  }
  return "";
}

std::optional<std::vector<std::string>> all_before(const Problem& problem, Device& device,
                                                   const Selection& selection, const std::string& variant) {
  auto names = problem.variants(device, selection);
  const auto found = std::ranges::find(names, variant);
  if (found == names.end()) return std::nullopt;
  names.erase(found, names.end());
  return names;
}

Checks::Checks(Device& device)
    : device_(device), extents_(device.name() == "cpu" ? Extents::small : Extents::few) {
  if (extents_ == Extents::small)
    judge_ = std::make_unique<ReferenceDevice>();
  else
    judge_ = open_device({.device = "cpu"});
}

std::optional<std::string> Checks::problem_of(const Name& name, const std::string& variant,
                                              KernelSet kernels) {
  const auto few = smaller(name, extents_);
  const auto small = bench::problem_of(few);
  const auto key = small.name + variant;
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  auto& result = known_[key];
  // Large tiles take small problems where there is one multiprocessor to occupy.
  auto selection = device_.selection();
  selection.kernels = kernels;
  auto before = all_before(small, device_, selection, variant);
  if (!before) {
    selection.multiprocessors = 1;
    before = all_before(small, device_, selection, variant);
  }
  if (!before) return result;
  auto expected = expected_.find(small.name);
  if (expected == expected_.end()) {
    const auto work = bench::problem_of(widened(few)).place(*judge_, judge_->selection());
    work->run();
    expected = expected_.emplace(small.name, work->outputs(all)).first;
  }
  selection.without = *before;
  const auto work = small.place(device_, selection);
  work->run();
  result = difference(work->outputs(all), expected->second, tolerance_of(numbers_of(name)));
  return result;
}

}  // namespace scrawl::bench
