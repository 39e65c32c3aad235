#include "bench/kernels/bench.h"

#include <algorithm>

#include "bench/device_clock.h"
#include "kernels/error.h"

#ifdef SCRAWL_HAS_SIMT
#include "kernels/simt/runtime.h"
#endif

namespace scrawl::bench {

namespace {

/// Outputs this far from either end are compared between variants.
constexpr std::int64_t compared = 1 << 20;

}  // namespace

/// A variant with its operands, and whether it is right.
struct Bench::Placed {
  std::string variant;
  std::unique_ptr<Work> work = nullptr;
  std::string wrong = {};
  std::optional<bool> passed = std::nullopt;
  std::map<std::string, std::uint64_t> counts = {};
};

/// Whom ours alternates with.
struct Bench::Rivals {
  std::optional<Search> counts;
  std::vector<std::unique_ptr<Work>> works;
  std::vector<Peer> cold, hot;
};

Bench::Bench(Device& device, Report& report, const BenchSettings& settings)
    : device_(device),
      report_(report),
      settings_(settings),
      checks_(device),
      counts_(device.name() == "simt") {
  report.header.libraries[device.name()] = device.libraries();
  if (counts_) return;
  clock_ = std::make_unique<DeviceClock>(device);
  // Reads as much as it writes: past twice the caches in all. It also gives the host time to queue what
  // follows, so that launches do not stretch short samples.
  // The host's caches say nothing of a GPU's: 256 MiB are past twice those of any.
  const auto bytes = device.name() == "cuda" ? std::size_t{256} << 20 : cold_bytes();
  report.header.flushed_bytes = bytes;
  flush_ = problem_of(copy_of(static_cast<std::int64_t>(bytes))).place(device, device.selection());
}

void Bench::measure_ceilings(const std::vector<std::string>& types) {
  if (counts_) return;
  const auto best = [&](const Problem& problem, double work, const std::string& name) {
    for (const auto& variant : problem.variants(device_, device_.selection())) {
      const auto before = *all_before(problem, device_, device_.selection(), variant);
      auto selection = device_.selection();
      selection.without = before;
      const auto placed = problem.place(device_, selection);
      Timed sampler([&] { placed->run(); }, *clock_, {.before = [this] { flush_->run(); }});
      const double us = compare(std::ref(sampler), {}, {.seconds = 0.5, .least = 5, .most = 20}).ours.median;
      auto& ceiling = report_.header.ceilings[name];
      if (work / us * 1e6 > ceiling.per_second) ceiling = {work / us * 1e6, variant};
    }
  };
  const bool is_gpu = device_.name() == "cuda";
  const auto copied = problem_of(copy_of(std::int64_t{1} << (is_gpu ? 30 : 26)));
  best(copied, copied.cost.bytes, "copy");
  for (const auto& type : types) {
    const auto product = problem_of(square_product(is_gpu ? 8192 : 1024, type));
    best(product, product.cost.flops, type);
  }
}

std::size_t Bench::measure(const Name& name) {
  const auto problem = problem_of(name);
  const auto first = report_.rows.size();
  expected_.clear();
  std::optional<Rivals> rivals;
  auto selection = device_.selection();
  selection.kernels = KernelSet::native;
  const auto names = problem.variants(device_, selection);
  for (std::size_t i = 0; i < names.size(); ++i) {
    selection.without = std::span(names).first(i);
    const auto placed = place(name, problem, selection, names[i]);
    Row row;
    row.name = problem.name;
    row.device = device_.name();
    row.variant = placed.variant;
    row.type = name.type();
    row.cost = problem.cost;
    row.passed = placed.passed;
    row.wrong = placed.wrong;
    if (!placed.wrong.empty() || counts_) {
      row.counts = placed.counts;
      report_.rows.push_back(row);
      continue;
    }
    if (!rivals) rivals = rivals_of(name, problem);
    row.search = rivals->counts;
    for (const auto cache : {Cache::cold, Cache::hot}) {
      row.cache = cache;
      // What lies in a cache is not bound by the rate of memory.
      row.ceilings = cache == Cache::cold ? ceilings(name.type()) : std::nullopt;
      row.timing =
          compare(sampler_of(*placed.work, cache), cache == Cache::cold ? rivals->cold : rivals->hot,
                  {.seconds = settings_.seconds,
                   .least = settings_.least,
                   .most = settings_.most,
                   // PyTorch is not timed beside threads of ours that still spin.
                   .pause = std::chrono::milliseconds(settings_.torch && device_.name() == "cpu" ? 5 : 0)});
      report_.rows.push_back(row);
    }
  }
  // The next problem may need all of the memory.
  if (settings_.torch) settings_.torch->forget();
  // What the vendor does alone is reported even if none of ours is right.
  if (!rivals && !counts_ && problem.contenders) rivals_of(name, problem);
  return report_.rows.size() - first;
}

std::vector<double> first_look(std::span<const Sampler> samplers, double factor) {
  std::vector<double> least;
  for (const auto& sample : samplers) least.push_back(sample());
  if (least.empty()) return least;
  for (int again = 0; again < 2; ++again) {
    const double fastest = *std::ranges::min_element(least);
    for (std::size_t i = 0; i < least.size(); ++i)
      if (least[i] > factor * fastest) least[i] = std::min(least[i], samplers[i]());
  }
  return least;
}

std::vector<VariantTime> Bench::compare_variants(const Name& name) {
  constexpr double near = 3;
  const auto problem = problem_of(name);
  expected_.clear();
  auto selection = device_.selection();
  const auto names = problem.variants(device_, selection);
  std::vector<VariantTime> times;
  std::vector<std::unique_ptr<Work>> works;  // of those that are right
  std::vector<std::size_t> right, close;
  std::vector<Sampler> looks, samplers;
  for (std::size_t i = 0; i < names.size(); ++i) {
    selection.without = std::span(names).first(i);
    auto placed = place(name, problem, selection, names[i]);
    times.push_back({.variant = names[i], .us = {}, .wrong = placed.wrong});
    if (!placed.wrong.empty()) continue;
    right.push_back(i);
    works.push_back(std::move(placed.work));
    looks.push_back([this, &work = *works.back()] {
      work.restore();
      clock_->start();
      work.run();
      return clock_->stop_us();
    });
  }
  const auto seen = first_look(looks, near);
  for (std::size_t i = 0; i < right.size(); ++i) {
    times[right[i]].us = summarize(std::span(seen).subspan(i, 1));
    if (seen[i] > near * *std::ranges::min_element(seen)) continue;
    close.push_back(right[i]);
    samplers.push_back(sampler_of(*works[i], Cache::hot));
  }
  const auto samples =
      alternate(samplers, {.seconds = settings_.seconds, .least = settings_.least, .most = settings_.most});
  for (std::size_t i = 0; i < close.size(); ++i) times[close[i]].us = summarize(samples[i]);
  return times;
}

std::optional<Ceilings> Bench::ceilings(const std::string& type) const {
  const auto& measured = report_.header.ceilings;
  if (!measured.contains(type) || !measured.contains("copy")) return std::nullopt;
  return Ceilings{measured.at(type).per_second, measured.at("copy").per_second};
}

Bench::Placed Bench::place(const Name& name, const Problem& problem, const Selection& selection,
                           const std::string& variant) {
  Placed placed{.variant = variant};
  const auto checked = checks_.problem_of(name, variant, selection.kernels);
  placed.wrong = checked.value_or("");
  if (checked) placed.passed = placed.wrong.empty();
  if (!placed.wrong.empty()) return placed;
  placed.work = problem.place(device_, selection);
  // Once: its outputs are those of the variants before it.
  [[maybe_unused]] const auto before = work_so_far();
  placed.work->run();
  device_.synchronize();
  for (const auto& [what, count] : work_so_far()) placed.counts[what] = count - before.at(what);
  auto outputs = placed.work->outputs(compared);
  // The first of all: what it leaves unwritten is NaN, which is no distance from itself.
  placed.wrong = expected_.empty() ? difference(outputs, outputs, 0)
                                   : difference(outputs, expected_, tolerance_of(numbers_of(name)));
  if (!placed.wrong.empty())
    placed.passed = false;
  else if (expected_.empty())
    expected_ = std::move(outputs);
  return placed;
}

Bench::Rivals Bench::rivals_of(const Name& name, const Problem& problem) {
  Rivals rivals;
  if (settings_.against == BenchSettings::Against::vendor) {
    auto found = search_of(name, problem);
    rivals.counts = found.counts;
    for (auto& best : found.best) {
      rivals.cold.push_back({best.name, sampler_of(*best.work, Cache::cold)});
      rivals.hot.push_back({best.name, sampler_of(*best.work, Cache::hot)});
      rivals.works.push_back(std::move(best.work));
    }
    for (const auto& attempt : found.attempts) report(attempt);
  }
  if (settings_.torch) add_torch(name, rivals);
  return rivals;
}

void Bench::add_torch(const Name& name, Rivals& rivals) {
  auto& torch = *settings_.torch;
  const auto hot = name.text();
  auto cold = hot;
  cold.insert(cold.size() - 1, ",cold");
  try {
    torch.sample_us(hot);
    torch.sample_us(cold);
  } catch (const UsageError& refusal) {
    left_out_.emplace(name.operation(), refusal.what());
    return;
  }
  rivals.hot.push_back({"pytorch", [&torch, hot] { return torch.sample_us(hot, 1); }});
  rivals.cold.push_back({"pytorch", [&torch, cold] { return torch.sample_us(cold); }});
}

Found Bench::search_of(const Name& name, const Problem& problem) {
  auto selection = device_.selection();
  selection.kernels = KernelSet::vendor;
  std::vector<Contender> contenders;
  const bool is_searched = problem.contenders && device_.name() == "cuda";
  try {
    contenders =
        is_searched ? problem.contenders(device_, selection) : variants_of(problem, device_, selection);
  } catch (const std::runtime_error& why) {
    return {.counts = {.unavailable = why.what()}};
  }
  return search(contenders, expected_,
                {.tolerance = tolerance_of(numbers_of(name)),
                 .seconds = settings_.search_seconds,
                 .compared = compared},
                [this](Work& work) {
                  return compare(sampler_of(work, Cache::cold), {},
                                 {.seconds = settings_.seconds / 4, .least = 3, .most = 20})
                      .ours;
                });
}

/// A row of the vendor's own, once.
void Bench::report(const Attempt& attempt) {
  if (attempt.row.empty() || !told_.insert(attempt.row + attempt.name).second) return;
  Row row;
  row.name = attempt.row;
  row.device = device_.name();
  row.variant = attempt.name;
  row.type = attempt.type;
  row.cache = Cache::cold;
  row.timing.ours = attempt.us;
  row.wrong = attempt.wrong;
  row.refused = attempt.refused;
  report_.rows.push_back(row);
}

std::map<std::string, std::uint64_t> Bench::work_so_far() const {
#ifdef SCRAWL_HAS_SIMT
  if (counts_) {
    const auto done = simt::runtime().work();
    return {{"launches", done.launches}, {"lanes", done.lanes}};
  }
#endif
  return {};
}

/// Hot: behind a run of its own, as many as make the clock's grain small, but one of what consumes its
/// operands; cold: one, behind a flush.
Sampler Bench::sampler_of(Work& work, Cache cache) {
  if (counts_) return {};
  if (cache == Cache::cold) {
    auto timed = std::make_shared<Timed>([&work] { work.run(); }, *clock_, Sampling{.before = [this, &work] {
                                           work.restore();
                                           flush_->run();
                                         }});
    return [timed] { return (*timed)(); };
  }
  const auto before = [this, &work] {
    work.restore();
    flush_->run();
    work.run();
    if (work.consumes()) work.restore();
  };
  Timed one([&work] { work.run(); }, *clock_, {.before = before});
  const int most = work.consumes() ? 1 : 20;
  const int runs = std::clamp(static_cast<int>(100 / std::max(one(), 1.0)), 1, most);
  auto timed = std::make_shared<Timed>(
      [&work, runs] {
        for (int i = 0; i < runs; ++i) work.run();
      },
      *clock_, Sampling{.warmup = 1, .before = before});
  return [timed, runs] { return (*timed)() / runs; };
}

}  // namespace scrawl::bench
