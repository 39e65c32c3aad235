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
/// batch itself; one that is wrong is reported and not timed.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/device_clock.h"
#include "bench/kernels/check.h"
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
  double minutes = 60, seconds = 0.15;
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

  /// Rows of a problem: each of our variants, cold and hot, beside the vendor's.
  void measure(const Family& family, std::int64_t batch, const std::string& type) {
    const auto numbers = numbers_of(type);
    const auto problem = family.make(batch, numbers);
    if (!is_asked_for(problem.name)) return;
    std::vector<Placed> vendors, ours;
    place_all(family, numbers, problem, KernelSet::vendor, vendors);
    place_all(family, numbers, problem, KernelSet::native, ours);
    std::vector<Peer> cold, hot;
    for (const auto& vendor : vendors) {
      if (!vendor.wrong.empty()) continue;
      cold.push_back({vendor.work->variant(), sampler_of(*vendor.work, Cache::cold)});
      hot.push_back({vendor.work->variant(), sampler_of(*vendor.work, Cache::hot)});
    }
    for (const auto& placed : ours) {
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
      for (const auto cache : {Cache::cold, Cache::hot}) {
        row.cache = cache;
        // What lies in a cache is not bound by the rate of memory.
        row.ceilings = cache == Cache::cold ? std::optional(ceilings(type)) : std::nullopt;
        row.timing = compare(sampler_of(*placed.work, cache), cache == Cache::cold ? cold : hot,
                             {.seconds = flags_.seconds, .least = 5, .most = 100});
        report_.rows.push_back(row);
      }
    }
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

  void place_all(const Family& family, const Numbers& numbers, const Problem& problem, KernelSet kernels,
                 std::vector<Placed>& all) {
    auto selection = device_->selection();
    selection.kernels = kernels;
    const auto names = problem.variants(*device_, selection);
    for (std::size_t i = 0; i < names.size(); ++i) {
      Placed placed{.variant = names[i]};
      const auto checked = checks_.problem_of(family, numbers, names[i], kernels);
      placed.wrong = checked.value_or("");
      if (checked) placed.passed = placed.wrong.empty();
      if (placed.wrong.empty()) run(placed, problem, selection, std::span(names).first(i), numbers);
      all.push_back(std::move(placed));
    }
  }

  /// Once: its outputs are those of the variants before it.
  void run(Placed& placed, const Problem& problem, Selection selection, std::span<const std::string> without,
           const Numbers& numbers) {
    selection.without = without;
    placed.work = problem.place(*device_, selection);
    [[maybe_unused]] const auto before = work_so_far();
    placed.work->run();
    device_->synchronize();
    for (const auto& [name, count] : work_so_far()) placed.counts[name] = count - before.at(name);
    auto outputs = placed.work->outputs(compared);
    if (expected_of_ != problem.name) {
      // The first of all: what it leaves unwritten is NaN, which is no distance from itself.
      placed.wrong = difference(outputs, outputs, 0);
      if (placed.wrong.empty()) {
        expected_of_ = problem.name;
        expected_ = std::move(outputs);
      }
    } else {
      placed.wrong = difference(outputs, expected_, tolerance_of(numbers));
    }
    if (!placed.wrong.empty()) placed.passed = false;
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

  /// Hot: behind a run of its own, as many as make the clock's grain small; cold: one, behind a flush.
  Sampler sampler_of(Work& work, Cache cache) {
    if (counts_) return {};
    if (cache == Cache::cold) {
      auto timed = std::make_shared<Timed>([&work] { work.run(); }, *clock_,
                                           Sampling{.before = [this] { flush_->run(); }});
      return [timed] { return (*timed)(); };
    }
    const auto before = [this, &work] {
      flush_->run();
      work.run();
    };
    Timed one([&work] { work.run(); }, *clock_, {.before = before});
    const int runs = std::clamp(static_cast<int>(100 / std::max(one(), 1.0)), 1, 20);
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
  std::string expected_of_;  ///< the problem whose outputs these are
  Values expected_;
};

/// "     12.34 us   61.0% of the limit   1.12 x cudnn  name by variant, cold"
void print(const Row& row) {
  std::string figures;
  for (const auto& [what, count] : row.counts) figures += fmt::format("{} {}  ", count, what);
  if (!row.wrong.empty()) figures = "WRONG: " + row.wrong + "  ";
  if (row.timing.ours.samples > 0) {
    const double us = row.timing.ours.median;
    figures = fmt::format("{:10.2f} us  {:5.1f}% of the limit  ", us,
                          percent_of_limit(row.cost, *row.ceilings, us));
    if (!row.timing.peer.empty())
      figures += fmt::format("{:5.2f} x {}  ", row.timing.ratio.median, row.timing.peer);
  }
  fmt::print("{}{} by {}{}\n", figures, row.name, row.variant,
             row.timing.ours.samples == 0 ? ""
             : row.cache == Cache::cold   ? ", cold"
                                          : ", hot");
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
