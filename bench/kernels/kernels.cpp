/// bench_kernels: our kernels on a GPU, each variant by itself, beside the vendor's plans, alternating in one
/// run.
///
///   bench_kernels --device cuda --json kernels.json            # all, most important first, until --minutes
///   are over bench_kernels --only 'lstm.forward[T=64,N=64' --type bf16  # what a row's name says
///   bench_kernels --device simt --extents tiny                 # every kernel once; counts in place of times
///   bench_kernels --list                                       # which variants there are, for
///   bench/hardware.py
///
/// A variant's outputs are compared with the CPU's at a small batch, and with the other variants' at the
/// batch itself; one that is wrong is reported and not timed. The vendor's side is the best of all its plans,
/// which are searched once a problem; its algorithms for LSTM and CTC have rows of their own.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/device_clock.h"
#include "bench/kernels/check.h"
#include "bench/kernels/search.h"
#include "bench/measure.h"
#include "bench/program.h"
#include "bench/report.h"
#include "kernels/error.h"

#ifdef SCRAWL_HAS_SIMT
#include "kernels/simt/runtime.h"
#endif

namespace scrawl::bench {
namespace {

struct Flags {
  std::string device = "cuda", json;
  Extents extents = Extents::networks;
  std::vector<std::string> only, types{"bf16", "f16", "tf32", "f32"};
  double minutes = 60, seconds = 0.15, search_seconds = 2;
  bool lists = false;
};

/// Outputs this far from either end are compared between variants.
constexpr std::int64_t compared = 1 << 20;

class Bench {
 public:
  Bench(const Flags& flags, Report& report)
      : flags_(flags),
        report_(report),
        device_(open_device({.device = flags.device})),
        checks_(*device_),
        counts_(device_->name() == "simt") {
    if (counts_) return;
    clock_ = std::make_unique<DeviceClock>(*device_);
    // Reads as much as it writes: past twice the caches in all. It also gives the host time to queue what
    // follows, so that launches do not stretch short samples.
    flush_ = copy_of(static_cast<std::int64_t>(cold_bytes())).place(*device_, device_->selection());
  }

  void measure_ceilings() {
    if (counts_) return;
    const auto best = [&](const Problem& problem, double work, const std::string& name) {
      for (const auto& variant : problem.variants(*device_, device_->selection())) {
        const auto before = *all_before(problem, *device_, device_->selection(), variant);
        auto selection = device_->selection();
        selection.without = before;
        const auto placed = problem.place(*device_, selection);
        Timed sampler([&] { placed->run(); }, *clock_, {.before = [this] { flush_->run(); }});
        const double us =
            compare(std::ref(sampler), {}, {.seconds = 0.5, .least = 5, .most = 20}).ours.median;
        auto& ceiling = report_.header.ceilings[name];
        if (work / us * 1e6 > ceiling.per_second) ceiling = {work / us * 1e6, variant};
      }
    };
    const bool is_gpu = device_->name() == "cuda";
    const auto copied = copy_of(std::int64_t{1} << (is_gpu ? 30 : 26));
    best(copied, copied.cost.bytes, "copy");
    for (const auto& type : flags_.types) {
      const auto product = square_product(is_gpu ? 8192 : 512, numbers_of(type));
      best(product, product.cost.flops, type);
    }
  }

  /// Rows of a problem: each of our variants, cold and hot, beside the vendor's best. In memory is one of
  /// ours, and what it alternates with.
  void measure(const Family& family, std::int64_t batch, const std::string& type) {
    const auto numbers = numbers_of(type);
    const auto problem = family.make(batch, numbers);
    if (!is_asked_for(problem.name)) return;
    expected_.clear();
    std::optional<Rivals> rivals;
    auto selection = device_->selection();
    selection.kernels = KernelSet::native;
    const auto names = problem.variants(*device_, selection);
    for (std::size_t i = 0; i < names.size(); ++i) {
      selection.without = std::span(names).first(i);
      const auto placed = place(family, numbers, problem, selection, names[i]);
      Row row;
      row.name = problem.name;
      row.device = device_->name();
      row.variant = placed.variant;
      row.type = type;
      row.cost = problem.cost;
      row.passed = placed.passed;
      row.wrong = placed.wrong;
      if (!placed.wrong.empty() || counts_) {
        row.counts = placed.counts;
        report_.rows.push_back(row);
        continue;
      }
      if (!rivals) rivals = rivals_of(problem, numbers);
      row.search = rivals->counts;
      for (const auto cache : {Cache::cold, Cache::hot}) {
        row.cache = cache;
        // What lies in a cache is not bound by the rate of memory.
        row.ceilings = cache == Cache::cold ? std::optional(ceilings(type)) : std::nullopt;
        row.timing =
            compare(sampler_of(*placed.work, cache), cache == Cache::cold ? rivals->cold : rivals->hot,
                    {.seconds = flags_.seconds, .least = 5, .most = 100});
        report_.rows.push_back(row);
      }
    }
    // What the vendor does alone is reported even if none of ours is right.
    if (!rivals && !counts_ && problem.contenders) rivals_of(problem, numbers);
  }

  Device& device() { return *device_; }

 private:
  /// A variant with its operands, and whether it is right.
  struct Placed {
    std::string variant;
    std::unique_ptr<Work> work;
    std::string wrong;
    std::optional<bool> passed;
    std::map<std::string, std::uint64_t> counts;
  };

  bool is_asked_for(const std::string& name) const {
    return flags_.only.empty() || std::ranges::any_of(flags_.only, [&](const auto& part) {
             return name.find(part) != std::string::npos;
           });
  }

  Ceilings ceilings(const std::string& type) const {
    return {report_.header.ceilings.at(type).per_second, report_.header.ceilings.at("copy").per_second};
  }

  Placed place(const Family& family, const Numbers& numbers, const Problem& problem,
               const Selection& selection, const std::string& name) {
    Placed placed{.variant = name};
    const auto checked = checks_.problem_of(family, numbers, name, selection.kernels);
    placed.wrong = checked.value_or("");
    if (checked) placed.passed = placed.wrong.empty();
    if (!placed.wrong.empty()) return placed;
    placed.work = problem.place(*device_, selection);
    // Once: its outputs are those of the variants before it.
    [[maybe_unused]] const auto before = work_so_far();
    placed.work->run();
    device_->synchronize();
    for (const auto& [what, count] : work_so_far()) placed.counts[what] = count - before.at(what);
    auto outputs = placed.work->outputs(compared);
    // The first of all: what it leaves unwritten is NaN, which is no distance from itself.
    placed.wrong = expected_.empty() ? difference(outputs, outputs, 0)
                                     : difference(outputs, expected_, tolerance_of(numbers));
    if (!placed.wrong.empty())
      placed.passed = false;
    else if (expected_.empty())
      expected_ = std::move(outputs);
    return placed;
  }

  /// The vendor's best, ready to be timed.
  struct Rivals {
    std::optional<Search> counts;
    std::vector<std::unique_ptr<Work>> works;
    std::vector<Peer> cold, hot;
  };

  Rivals rivals_of(const Problem& problem, const Numbers& numbers) {
    Rivals rivals;
    auto found = search_of(problem, numbers);
    rivals.counts = found.counts;
    for (auto& best : found.best) {
      rivals.cold.push_back({best.name, sampler_of(*best.work, Cache::cold)});
      rivals.hot.push_back({best.name, sampler_of(*best.work, Cache::hot)});
      rivals.works.push_back(std::move(best.work));
    }
    for (const auto& attempt : found.attempts) report(attempt);
    return rivals;
  }

  Found search_of(const Problem& problem, const Numbers& numbers) {
    auto selection = device_->selection();
    selection.kernels = KernelSet::vendor;
    std::vector<Contender> contenders;
    const bool is_searched = problem.contenders && device_->name() == "cuda";
    try {
      contenders =
          is_searched ? problem.contenders(*device_, selection) : variants_of(problem, *device_, selection);
    } catch (const std::runtime_error& why) {
      return {.counts = {.unavailable = why.what()}};
    }
    return search(
        contenders, expected_,
        {.tolerance = tolerance_of(numbers), .seconds = flags_.search_seconds, .compared = compared},
        [this](Work& work) {
          return compare(sampler_of(work, Cache::cold), {},
                         {.seconds = flags_.seconds / 4, .least = 3, .most = 20})
              .ours;
        });
  }

  /// A row of the vendor's own, once.
  void report(const Attempt& attempt) {
    if (attempt.row.empty() || !told_.insert(attempt.row + attempt.name).second) return;
    Row row;
    row.name = attempt.row;
    row.device = device_->name();
    row.variant = attempt.name;
    row.type = attempt.type;
    row.cache = Cache::cold;
    row.timing.ours = attempt.us;
    row.wrong = attempt.wrong;
    row.refused = attempt.refused;
    report_.rows.push_back(row);
  }

  std::map<std::string, std::uint64_t> work_so_far() const {
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
  Sampler sampler_of(Work& work, Cache cache) {
    if (counts_) return {};
    if (cache == Cache::cold) {
      auto timed =
          std::make_shared<Timed>([&work] { work.run(); }, *clock_, Sampling{.before = [this, &work] {
                                    work.restore();
                                    flush_->run();
                                  }});
      return [timed] { return (*timed)(); };
    }
    const auto before = [this, &work] {
      work.restore();
      flush_->run();
      work.run();
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

  const Flags& flags_;
  Report& report_;
  std::unique_ptr<Device> device_;
  Checks checks_;
  bool counts_;  ///< in place of times
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Work> flush_;
  Values expected_;             ///< outputs of the problem, by the first variant that was right
  std::set<std::string> told_;  ///< of the vendor's rows
};

/// "     12.34 us   61.0% of the limit   1.12 x cudnn engine 41   name by variant, cold"
void print(const Row& row) {
  std::string figures;
  for (const auto& [what, count] : row.counts) figures += fmt::format("{} {}  ", count, what);
  if (!row.wrong.empty()) figures = "WRONG: " + row.wrong + "  ";
  if (!row.refused.empty()) figures = "refused: " + row.refused + "  ";
  if (row.timing.ours.samples > 0) {
    const double us = row.timing.ours.median;
    figures = fmt::format("{:10.2f} us  ", us);
    if (row.ceilings)
      figures += fmt::format("{:5.1f}% of the limit  ", percent_of_limit(row.cost, *row.ceilings, us));
    for (const auto& peer : row.timing.all)
      figures += fmt::format("{:5.2f} x {}  ", peer.ratio.median, peer.name);
  }
  const bool is_cut_short = row.search && row.search->is_cut_short;
  fmt::print("{}{} by {}{}{}\n", figures, row.name, row.variant,
             row.timing.ours.samples == 0 ? ""
             : row.cache == Cache::cold   ? ", cold"
                                          : ", hot",
             is_cut_short ? fmt::format(" (the search was cut short: {} of {} plans)",
                                        row.search->tried + row.search->refused, row.search->plans)
                          : "");
}

/// Which variants take which problem, on a GPU of so many multiprocessors: plans alone, no memory.
int list(const Flags& flags) {
  const auto device = open_device({.device = flags.device});
  auto selection = device->selection();
  selection.kernels = KernelSet::native;
  selection.multiprocessors = 132;  // of an H200
  auto all = nlohmann::ordered_json::array();
  for (const auto& family : families(flags.extents))
    for (const auto& type : family.types)
      for (const auto batch : family.batches) {
        const auto problem = family.make(batch, numbers_of(type));
        for (const auto& variant : problem.variants(*device, selection))
          all.push_back({{"operation", family.operation},
                         {"layer", family.layer},
                         {"type", type},
                         {"variant", variant},
                         {"name", problem.name}});
      }
  fmt::print("{}\n", all.dump(1));
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"times kernels on a GPU"};
  Flags f;
  app.add_option("--device", f.device, "cuda, or simt: counts in place of times")->capture_default_str();
  app.add_option("--extents", f.extents, "of the problems")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Extents>{{"networks", Extents::networks}, {"tiny", Extents::tiny}}));
  app.add_option("--only", f.only, "parts of names");
  app.add_option("--type", f.types, "bf16, f16, tf32, f32")->capture_default_str();
  app.add_option("--seconds", f.seconds, "of alternation a row")->capture_default_str();
  app.add_option("--search-seconds", f.search_seconds, "for the vendor's best plan of a problem")
      ->capture_default_str();
  app.add_option("--minutes", f.minutes, "after which no further problem begins")->capture_default_str();
  app.add_option("--json", f.json, "file for the report, rewritten after each problem");
  app.add_flag("--list", f.lists, "prints the variants of each problem");
  CLI11_PARSE(app, argc, argv);
  if (f.lists) return list(f);

  Report report{.header = describe_host({argv, static_cast<std::size_t>(argc)}), .rows = {}};
  if (f.device == "cuda") describe_gpu(report.header);
  Bench bench(f, report);
  report.header.libraries[f.device] = bench.device().libraries();
  bench.measure_ceilings();
  SteadyClock clock;
  clock.start();
  bool wrong = false;
  const auto all = families(f.extents);
  for (const auto& type : f.types)
    for (std::size_t size = 0; size < 3; ++size)
      for (const auto& family : all) {
        if (size >= family.batches.size() || std::ranges::find(family.types, type) == family.types.end())
          continue;
        if (clock.stop_us() > 60e6 * f.minutes) continue;
        const auto first = report.rows.size();
        bench.measure(family, family.batches[size], type);
        const auto rows = std::span(report.rows).subspan(first);
        if (rows.empty()) continue;
        std::ranges::for_each(rows, print);
        std::fflush(stdout);
        wrong = wrong || std::ranges::any_of(rows, [](const Row& row) { return row.passed == false; });
        if (!f.json.empty()) write_report(f.json, report);
      }
  if (report.rows.empty()) throw UsageError("--only: expected part of a problem's name (--list has them)");
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace scrawl::bench

int main(int argc, char** argv) {
  return scrawl::bench::run_program("bench_kernels", argc, argv, scrawl::bench::run);
}
