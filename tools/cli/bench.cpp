#include <fmt/core.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/compare.h"
#include "bench/kernels/bench.h"
#include "bench/plot.h"
#include "bench/read_report.h"
#include "bench/tables.h"
#include "kernels/error.h"
#include "models/config.h"
#include "runtime/io/file.h"
#include "tools/cli/command.h"

#ifdef SCRAWL_HAS_SIMT
#include "bench/static/view.h"
#endif

namespace scrawl::cli {
namespace {
namespace fs = std::filesystem;
using bench::Listed;
using bench::Name;
using bench::Row;

struct BenchFlags {
  std::vector<std::string> filters, types, against{"vendor"}, recipes{"crnn", "cnn62", "mnist"};
  std::vector<std::int64_t> batches;
  std::string shape, device = "auto", peer, json, csv, markdown, plot, report;
  std::vector<std::string> compared;
  double seconds = 0.1, search_seconds = 2, minutes = 600;
  int threads = 0;
  bool others = false, tiny = false, exhaustive = false, lists = false, looks = false, is_strict = false;
  std::uint64_t blocks = 4;
};

/// What is left unsaid: a CPU takes seconds for what a GPU does in a millisecond.
void complete(BenchFlags& f, const Device& device) {
  const bool is_cpu = device.name() == "cpu";
  if (f.types.empty())
    f.types = is_cpu || f.tiny ? std::vector<std::string>{"bf16", "f32"}
                               : std::vector<std::string>{"bf16", "f16", "tf32", "f32"};
  if (f.batches.empty())
    f.batches = is_cpu ? std::vector<std::int64_t>{64} : std::vector<std::int64_t>{64, 256, 1024};
}

/// Everything that there is to look at, before the filters.
std::vector<Listed> all_of(const BenchFlags& f, Device& device) {
  std::vector<std::string> types;
  for (const auto& type : f.types) {
    const auto numbers = bench::numbers_of(type);
    try {
      device.require(numbers.storage, numbers.products);
      types.push_back(type);
    } catch (const DeviceError& why) {
      fmt::print(stderr, "left out: {}\n", why.what());
    }
  }
  if (f.tiny) return bench::tiny(types);
  auto all = bench::of_networks(device, f.recipes, f.batches, types);
  std::ranges::move(bench::of_rows(types), std::back_inserter(all));
  if (f.others) std::ranges::move(bench::of_others(types), std::back_inserter(all));
  return all;
}

std::string nearest_of(const std::string& word, const std::vector<std::string>& operations) {
  const auto near = nearest_name(word, operations);
  return near.empty() ? fmt::format("there are {}", fmt::join(operations, ", "))
                      : fmt::format("did you mean {}?", near);
}

/// Names that were given whole, those of --shape, or those that a filter is part of.
std::vector<Listed> asked_for(const BenchFlags& f, Device& device) {
  std::vector<Listed> chosen;
  if (!f.shape.empty()) {
    if (f.filters.size() != 1)
      throw UsageError("--shape: expected one operation before it, got {}: {}", f.filters.size(),
                       nearest_of("", bench::operations()));
    for (const auto& type : f.types)
      chosen.push_back({Name(fmt::format("{}[{},{}]", f.filters[0], f.shape, type)), "--shape"});
    return chosen;
  }
  std::vector<std::string> parts;
  for (const auto& filter : f.filters) {
    if (filter.find('[') != std::string::npos && filter.ends_with(']'))
      chosen.push_back({Name(filter), "by name"});
    else
      parts.push_back(filter);
  }
  if (!f.filters.empty() && parts.empty()) return chosen;
  const auto all = all_of(f, device);
  for (const auto& part : parts) {
    const bool found = std::ranges::any_of(all, [&](const Listed& one) {
      return one.name.text().find(part) != std::string::npos || one.layer.find(part) != std::string::npos;
    });
    if (!found)
      throw UsageError("{}: no problem has this in its name; {}", part,
                       nearest_of(part, bench::operations()));
  }
  for (const auto& one : all) {
    const bool wanted =
        parts.empty() || std::ranges::any_of(parts, [&](const auto& part) {
          return one.name.text().find(part) != std::string::npos || one.layer.find(part) != std::string::npos;
        });
    if (wanted) chosen.push_back(one);
  }
  return chosen;
}

/// Which variants take which problem: plans alone, no memory.
int list(const std::vector<Listed>& chosen, Device& device, bool as_json) {
  auto selection = device.selection();
  selection.kernels = KernelSet::native;
  if (device.name() == "simt") selection.multiprocessors = 132;  // as on an H200
  auto all = nlohmann::ordered_json::array();
  for (const auto& [name, layer] : chosen)
    for (const auto& variant : bench::problem_of(name).variants(device, selection)) {
      if (!as_json) fmt::print("{}  {}  ({})\n", name.text(), variant, layer);
      all.push_back({{"operation", name.operation()},
                     {"layer", layer},
                     {"type", name.type()},
                     {"variant", variant},
                     {"name", name.text()}});
    }
  if (as_json) fmt::print("{}\n", all.dump(1));
  return 0;
}

/// "     12.34 us   61.0% of the limit   1.12 x cudnn engine 41   name by variant, cold"
void print(const Row& row) {
  std::string figures;
  for (const auto& [what, count] : row.counts) figures += fmt::format("{} {}  ", count, what);
  if (!row.wrong.empty()) figures = "WRONG: " + row.wrong + "  ";
  if (!row.refused.empty()) figures = "refused: " + row.refused + "  ";
  if (row.timing.ours.samples > 0) {
    const auto& us = row.timing.ours;
    figures = fmt::format("{:10.2f} us ({:.2f}-{:.2f})  ", us.median, us.p10, us.p90);
    if (row.ceilings)
      figures +=
          fmt::format("{:5.1f}% of the limit  ", bench::percent_of_limit(row.cost, *row.ceilings, us.median));
    for (const auto& peer : row.timing.all)
      figures += fmt::format("{:5.2f} x {}  ", peer.ratio.median, peer.name);
  }
  const bool is_cut_short = row.search && row.search->is_cut_short;
  fmt::print("{}{} by {}{}{}\n", figures, row.name, row.variant,
             row.timing.ours.samples == 0      ? ""
             : row.cache == bench::Cache::cold ? ", cold"
                                               : ", hot",
             is_cut_short ? fmt::format(" (the search was cut short: {} of {} plans)",
                                        row.search->tried + row.search->refused, row.search->plans)
                          : "");
}

void print(const bench::Header& header, const Device& device) {
  fmt::print("{}; clocks {}; {}; commit {}, {}\n", header.gpu.value_or(header.cpu), header.clocks,
             device.libraries(), header.commit, header.date);
  for (const auto& [name, ceiling] : header.ceilings)
    fmt::print("ceiling of {}: {:.2f} {} by {}\n", name, ceiling.per_second / 1e12,
               name == "copy" ? "TB/s, read and written" : "TFLOP/s", ceiling.by);
}

/// PyTorch in another process; none, and said once, where it does not start.
std::unique_ptr<bench::PeerProcess> torch_for(const BenchFlags& f, const Device& device) {
  std::vector<std::string> command;
  std::istringstream words(f.peer);
  for (std::string word; words >> word;) command.push_back(word);
  if (command.empty()) {
    const fs::path own = ".cache/peers/bin/python";
    command = {fs::exists(own) ? own.string() : "python3", "bench/peers/serve.py"};
  }
  for (const auto& word : {std::string("--device"), device.name(), std::string("--threads"),
                           std::to_string(device.selection().threads)})
    command.push_back(word);
  try {
    return std::make_unique<bench::PeerProcess>(command);
  } catch (const UsageError& why) {
    fmt::print(
        stderr,
        "PyTorch is left out: {} (--peer names the command; bench/peers/README.md has how it is installed)\n",
        why.what());
    return nullptr;
  }
}

bench::Header header_of(const BenchFlags& f) {
  std::vector<const char*> command{"scrawl", "bench"};
  for (const auto& filter : f.filters) command.push_back(filter.c_str());
  return bench::describe_host(command);
}

int look(BenchFlags f) {
#ifdef SCRAWL_HAS_SIMT
  if (f.batches.empty()) f.batches = {256};
  std::vector<Listed> chosen;
  {
    const auto device = open_device({.device = "simt"});
    complete(f, *device);
    chosen = asked_for(f, *device);
  }
  const auto report = bench::static_view(chosen, header_of(f), f.blocks);
  if (!f.json.empty()) write_file_atomically(f.json, std::string_view(report));
  return 0;
#else
  throw UsageError("--static: expected a build with simt, got one without ({})", f.device);
#endif
}

/// What is told of a report beside its JSON. The picture, which may take a converter, at the end alone.
void write_tables(const BenchFlags& f, const bench::Report& report) {
  if (!f.csv.empty()) write_file_atomically(f.csv, std::string_view(bench::to_csv(report.rows)));
  if (!f.markdown.empty())
    write_file_atomically(f.markdown, std::string_view(bench::to_markdown(report.rows)));
}

int compare_reports(const BenchFlags& f) {
  const auto before = bench::read_report(f.compared[0]), after = bench::read_report(f.compared[1]);
  const auto changes = bench::changes_between(before, after);
  fmt::print("old: {}, commit {}, {}, load {:.1f}\nnew: {}, commit {}, {}, load {:.1f}\n{}", f.compared[0],
             before.header.commit, before.header.date, before.header.load, f.compared[1], after.header.commit,
             after.header.date, after.header.load, bench::to_text(changes));
  return f.is_strict && changes.has_regressed() ? 1 : 0;
}

/// Another view of a report that is there already.
int show_report(const BenchFlags& f) {
  const auto report = bench::read_report(f.report);
  if (f.csv.empty() && f.markdown.empty() && f.plot.empty())
    fmt::print("{}", bench::to_markdown(report.rows));
  if (!f.plot.empty()) bench::write_plot(f.plot, report);
  write_tables(f, report);
  return 0;
}

int run(BenchFlags f) {
  if (!f.plot.empty()) bench::check_plot_path(f.plot);
  if (!f.compared.empty()) return compare_reports(f);
  if (!f.report.empty()) return show_report(f);
  if (f.looks) return look(std::move(f));
  const auto device = open_device({.device = f.device, .threads = f.threads});
  if (!f.plot.empty() && device->name() == "simt")
    throw UsageError("--plot: expected a device that has times, got simt");
  complete(f, *device);
  const auto chosen = asked_for(f, *device);
  for (const auto& [name, layer] : chosen) {  // before anything takes time
    (void)bench::problem_of(name);
    const auto numbers = bench::numbers_of(name);
    device->require(numbers.storage, numbers.products);
  }
  if (chosen.empty())
    throw UsageError("--type: expected one that {} has, got {}", device->name(), fmt::join(f.types, ", "));
  if (f.lists) return list(chosen, *device, f.json == "-");

  const auto is_against = [&](const char* who) {
    return std::ranges::find(f.against, who) != f.against.end();
  };
  const auto torch = is_against("torch") && device->name() != "simt" ? torch_for(f, *device) : nullptr;
  bench::Report report{.header = header_of(f), .rows = {}};
  if (!f.json.empty()) bench::write_report(f.json, report);  // or fail now
  if (device->name() == "cuda") bench::describe_gpu(report.header);
  if (device->name() == "cpu")
    report.header.libraries["threads"] = std::to_string(device->selection().threads);
  if (torch) report.header.libraries["peer"] = torch->greeting();
  bench::Bench bench(*device, report,
                     {.seconds = f.seconds,
                      .least = device->name() == "cpu" ? 3 : 5,
                      .search_seconds = f.exhaustive ? 1e9 : f.search_seconds,
                      .against = is_against("vendor") ? bench::BenchSettings::Against::vendor
                                                      : bench::BenchSettings::Against::nobody,
                      .torch = torch.get()});
  std::vector<std::string> measured;
  for (const auto& [name, layer] : chosen)
    if (std::ranges::find(measured, name.type()) == measured.end()) measured.push_back(name.type());
  bench.measure_ceilings(measured);
  print(report.header, *device);
  fmt::print("time (10%-90%)  of the limit  times as fast as each peer  problem by variant, cache\n");

  bench::SteadyClock clock;
  clock.start();
  bool wrong = false;
  std::size_t done = 0;
  for (const auto& [name, layer] : chosen) {
    if (clock.stop_us() > 60e6 * f.minutes) break;
    std::size_t count = 0;
    try {
      count = bench.measure(name);
    } catch (const Error& error) {  // the others can still be measured
      fmt::print(stderr, "FAILED: {}: {}\n", name.text(), error.what());
      wrong = true;
    }
    ++done;
    const auto rows = std::span(report.rows).last(count);
    std::ranges::for_each(rows, [](const Row& row) { print(row); });
    std::fflush(stdout);
    wrong = wrong || std::ranges::any_of(rows, [](const Row& row) { return row.passed == false; });
    if (count == 0) {
      fmt::print("{}: no variant of ours on {}\n", name.text(), device->name());
      continue;
    }
    if (!f.json.empty()) bench::write_report(f.json, report);
    write_tables(f, report);
  }
  if (done < chosen.size())
    fmt::print(stderr, "{} of {} problems: --minutes were over\n", done, chosen.size());
  if (!f.plot.empty()) bench::write_plot(f.plot, report);
  for (const auto& [operation, why] : bench.left_out())
    fmt::print(stderr, "PyTorch is left out of {}: {}\n", operation, why);
  return wrong ? 1 : 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand(
      "bench", "time kernels, each variant beside the vendor's best, against what the device can do");
  auto f = std::make_shared<BenchFlags>();
  auto* const filter = command->add_option(
      "filter", f->filters,
      "parts of names (conv2d, lstm.forward, N=64, \"crnn conv2\") or whole ones; all that "
      "the recipes' training steps ask for, if absent");
  command->add_option("--shape", f->shape,
                      "extents of one operation: conv2d.forward --shape N=64,C=32,H=32,W=128,K=64,R=3,P=1");
  command->add_option("--type", f->types, "bf16, f16, tf32, f32; all that the device has, if absent")
      ->delimiter(',');
  command
      ->add_option("--batch", f->batches,
                   "samples of the recipes' steps; 64, 256 and 1024 if absent, on a CPU 64")
      ->delimiter(',')
      ->check(at_least(1));
  command->add_option("--recipe", f->recipes, "whose steps")->delimiter(',')->capture_default_str();
  command->add_flag("--sweep", f->others,
                    "other people's shapes, too: VGG-16, ResNet-50, LSTM, CTC, softmax");
  command->add_flag("--tiny", f->tiny, "each operation on extents for simt, in place of the recipes'");
  command->add_option("--device", f->device, "auto, cpu, cuda, or simt: counts in place of times")
      ->capture_default_str();
  command->add_option("--threads", f->threads, "CPU threads; 0: all")->capture_default_str();
  command->add_option("--against", f->against, "vendor (oneDNN, cuDNN and cuBLASLt), torch")
      ->delimiter(',')
      ->check(CLI::IsMember({"vendor", "torch"}))
      ->capture_default_str();
  command->add_option("--peer", f->peer,
                      "command that answers for PyTorch: \"python3 bench/peers/serve.py\"");
  command->add_option("--seconds", f->seconds, "of alternation a row")
      ->check(more_than_zero())
      ->capture_default_str();
  command->add_option("--search-seconds", f->search_seconds, "for the vendor's best plan of a problem")
      ->check(more_than_zero())
      ->capture_default_str();
  command->add_flag("--exhaustive", f->exhaustive, "search all plans, however long that takes");
  command->add_option("--minutes", f->minutes, "after which no further problem begins")
      ->check(more_than_zero())
      ->capture_default_str();
  auto* const lists = command->add_flag(
      "--list", f->lists,
      "print problems and the variants that take them, and measure nothing; --json - as JSON");
  auto* const looks = command->add_flag(
      "--static", f->looks,
      "measure nothing: registers, occupancy, instructions, bytes and the least time on an H200, "
      "of kernels that simt counts");
  command->add_option("--blocks", f->blocks, "of a launch that --static counts")
      ->check(at_least(1))
      ->capture_default_str();
  auto* const json =
      command->add_option("--json", f->json, "file for the report, rewritten after each problem");
  auto* const csv = command->add_option("--csv", f->csv, "file for its rows as comma-separated values");
  auto* const markdown = command->add_option("--md", f->markdown, "file for its rows as a table of Markdown");
  auto* const plot = command->add_option(
      "--plot", f->plot, "file for a roofline, rates of bytes and ratios to the best peer: .svg or .png");
  auto* const report = command->add_option(
      "--report", f->report, "measure nothing: --csv, --md and --plot of this report, or its table printed");
  auto* const compared = command->add_option("--compare", f->compared,
                                             "measure nothing: what got faster or slower from OLD to NEW");
  compared->expected(2)->type_name("OLD.json NEW.json");
  command->add_flag("--strict", f->is_strict, "of --compare: exit with 1 if something is slower or wrong now")
      ->needs(compared);
  report->excludes(filter)->excludes(json);
  for (auto* const other : {csv, markdown, plot, report, compared}) other->excludes(lists)->excludes(looks);
  for (auto* const other : {filter, json, csv, markdown, plot, report}) compared->excludes(other);
  command->callback([f, &action] { action = [f] { return run(*f); }; });
}

}  // namespace scrawl::cli
