#include "kernels/simt/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>

#include "kernels/error.h"

namespace scrawl::simt {

namespace {

/// As many as asked for, each from the middle of an equal part of all: the last of all often has less to do.
std::vector<std::uint64_t> spread_evenly(std::uint64_t count, std::uint64_t blocks) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < count; ++i) numbers.push_back((2 * i + 1) * blocks / (2 * count));
  return numbers;
}

/// Of other lanes.
void join(Counted::Times& all, const Counted::Times& others) {
  all = {all.all + others.all, std::max(all.one, others.one)};
}

/// The most of each site.
void add(std::vector<Visits>& all, const Visits& one) {
  const auto found = std::ranges::find(all, one.site, &Visits::site);
  if (found == all.end())
    all.push_back(one);
  else
    found->by_one_lane = std::max(found->by_one_lane, one.by_one_lane);
}

Report deadlock(const Grid& grid, const Schedule& schedule, std::string_view places) {
  return {Fault::deadlock, fmt::format("{}: deadlock: {} (seed {})", grid.kernel, places, schedule.seed)};
}

}  // namespace

/// What a block needs beside its launch, kept from launch to launch.
struct Machine::Seat {
  explicit Seat(AddressSpace& memory) : memory(memory) {}
  ~Seat() { memory.release(shared); }

  /// Every byte beyond those asked for is nobody's.
  std::byte* shared_of(std::size_t bytes) {
    if (!shared) shared = memory.allocate(Grid::most_shared_bytes);
    if (!shared) throw MemoryError("simt: no addresses left for shared memory");
    memory.limit(shared, Grid::most_shared_bytes, bytes);
    return shared;
  }

  Stacks& stacks_of(int threads) {
    if (!stacks || stacks->count() < threads) stacks = std::make_unique<Stacks>(threads);
    return *stacks;
  }

  AddressSpace& memory;
  std::unique_ptr<Stacks> stacks;
  std::byte* shared = nullptr;
};

/// What a thread keeps from launch to launch.
struct Machine::Worker {
  explicit Worker(AddressSpace& memory) : seat(memory) {}

  void note(const std::vector<Block::Visits>& of_block) {
    for (const auto& [site, of_lane] : of_block) add(visits, {site, std::ranges::max(of_lane)});
  }
  void count(const Block& block) {
    traffic += block.traffic();
    std::map<std::string, std::vector<std::uint64_t>> by_lane;
    for (const auto& [site, of_lane] : block.visits()) {
      auto& lanes = by_lane[std::string(site.name)];
      lanes.resize(of_lane.size());
      std::ranges::transform(of_lane, lanes, lanes.begin(), std::plus{});
    }
    for (const auto& [name, lanes] : by_lane)
      join(times[name],
           {std::accumulate(lanes.begin(), lanes.end(), std::uint64_t{0}), std::ranges::max(lanes)});
  }

  Seat seat;
  std::exception_ptr exception;
  std::vector<Visits> visits;
  Traffic traffic;  ///< of the launch, where it is counted
  std::map<std::string, Counted::Times, std::less<>> times;
};

namespace {

/// Each stack of a lane and the page that guards it are a mapping of their own, and a process may have so
/// many: this many lanes, a quarter of the mappings left to the rest of the program.
std::size_t most_lanes() {
  std::ifstream file("/proc/sys/vm/max_map_count");
  std::size_t mappings = 65530;
  file >> mappings;
  return mappings / 4 * 3 / 2;
}

/// Two thirds of them, so that a launch together finds some.
int most_workers() {
  return std::max(1, static_cast<int>(most_lanes() / 3 * 2 / std::size_t{Grid::most_threads}));
}

}  // namespace

Machine::Machine(int workers) {
  const auto processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const auto count = std::min(workers > 0 ? workers : processors, most_workers());
  for (int i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>(memory_));
}

Machine::~Machine() = default;

std::optional<Report> Machine::run(const Grid& grid, const Schedule& schedule) {
  if (const auto wrong = grid.refusal(); !wrong.empty())
    return Report{Fault::argument, std::string(grid.kernel) + ": " + wrong};
  const auto start = std::chrono::steady_clock::now();
  Order order(std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z);
  std::iota(order.begin(), order.end(), 0);
  const bool is_counted = schedule.counted_blocks > 0;
  if (is_counted && grid.residency == Residency::apart && schedule.counted_blocks < order.size())
    order = spread_evenly(schedule.counted_blocks, order.size());
  std::shuffle(order.begin(), order.end(), std::mt19937_64(schedule.seed));

  std::optional<Races> races;
  if (schedule.look_for == Schedule::LookFor::races) races.emplace(grid.residency);
  auto* const looked_for = races ? &*races : nullptr;
  auto report = grid.residency == Residency::together ? run_together(grid, schedule, order, looked_for)
                                                      : run_apart(grid, schedule, order, looked_for);
  ++work_.launches;
  work_.lanes += order.size() * static_cast<std::uint64_t>(grid.threads);
  work_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (auto& worker : workers_)
    if (const auto exception = std::exchange(worker->exception, nullptr)) std::rethrow_exception(exception);
  for (auto& worker : workers_) {
    for (const auto& visited : worker->visits) add(visits_, visited);
    worker->visits.clear();
  }
  if (is_counted) note_counted(grid, order.size());
  return report;
}

void Machine::note_counted(const Grid& grid, std::uint64_t blocks) {
  Counted counted{.kernel = std::string(grid.kernel),
                  .function = grid.function,
                  .blocks = grid.blocks,
                  .threads = grid.threads,
                  .shared_bytes = grid.shared_bytes,
                  .residency = grid.residency,
                  .counted_blocks = blocks,
                  .traffic = {},
                  .visits = {}};
  for (auto& worker : workers_) {
    counted.traffic += std::exchange(worker->traffic, {});
    for (const auto& [name, times] : std::exchange(worker->times, {})) join(counted.visits[name], times);
  }
  counted_.push_back(std::move(counted));
}

std::optional<Report> Machine::run_apart(const Grid& grid, const Schedule& schedule, const Order& order,
                                         Races* races) {
  constexpr auto without_end = std::numeric_limits<std::uint64_t>::max();
  const auto workers = races ? 1 : std::min<std::size_t>(workers_.size(), order.size());
  std::atomic<std::size_t> next = 0, failed_at = order.size();
  std::vector<std::pair<std::size_t, Report>> reports(workers_.size(), {order.size(), {}});
  const auto work = [&](std::size_t number) {
    auto& worker = *workers_[number];
    for (auto i = next++; i < failed_at; i = next++) {
      Block block({memory_, grid, schedule, races, nullptr}, order[i], worker.seat.stacks_of(grid.threads),
                  worker.seat.shared_of(grid.shared_bytes));
      auto report = block.run(without_end) ? std::nullopt : std::optional(block.report());
      if (!report && !block.has_ended()) report = deadlock(grid, schedule, block.places());
      worker.note(block.visits());
      if (schedule.counted_blocks > 0) worker.count(block);
      if (!report) continue;
      // Blocks before this one are running or have run: the first report does not depend on the workers.
      reports[number] = {i, *std::move(report)};
      auto first = failed_at.load();
      while (i < first && !failed_at.compare_exchange_weak(first, i)) {
      }
      break;
    }
  };
  const auto carried = [&](std::size_t number) {
    try {
      work(number);
    } catch (...) {
      workers_[number]->exception = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < workers; ++i) threads.emplace_back(carried, i);
    carried(0);
  }
  const auto first = std::ranges::min_element(reports, {}, [](const auto& report) { return report.first; });
  if (first->first == order.size()) return std::nullopt;
  return first->second;
}

/// One thread runs them all: a block for a drawn number of turns, or until its lanes wait, then another.
std::optional<Report> Machine::run_together(const Grid& grid, const Schedule& schedule, const Order& order,
                                            Races* races) {
  constexpr unsigned longest = 16;  // log2 of turns: most blocks come to where they wait within so many
  const auto threads = static_cast<std::size_t>(grid.threads);
  const auto most = most_lanes() - workers_.size() * std::size_t{Grid::most_threads};
  if (order.size() > most / threads)
    throw MemoryError("simt: {}: expected at most {} lanes in a launch together, got {} blocks of {}",
                      grid.kernel, most, order.size(), threads);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < std::max(seats_.size(), order.size()); ++i) {
    const auto before = i < seats_.size() && seats_[i]->stacks ? seats_[i]->stacks->count() : 0;
    kept += std::max(static_cast<std::size_t>(before), i < order.size() ? threads : 0);
  }
  if (kept > most) seats_.clear();
  while (seats_.size() < order.size()) seats_.push_back(std::make_unique<Seat>(memory_));

  Flags flags;
  std::vector<std::unique_ptr<Block>> blocks;
  for (std::size_t i = 0; i < order.size(); ++i)
    blocks.push_back(std::make_unique<Block>(Block::Launch{memory_, grid, schedule, races, &flags}, order[i],
                                             seats_[i]->stacks_of(grid.threads),
                                             seats_[i]->shared_of(grid.shared_bytes)));
  const auto report = [&]() -> std::optional<Report> {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(schedule.seed));
    std::vector<Block*> ready;
    for (;;) {
      ready.clear();
      for (const auto& block : blocks)
        if (block->can_run()) ready.push_back(block.get());
      if (ready.empty()) break;
      auto& block = *ready[random() % ready.size()];
      if (!block.run(std::uint64_t{1} << random() % longest)) return block.report();
    }
    constexpr int most_named = 4;
    std::string places;
    int waiting = 0;
    for (const auto& block : blocks)
      if (!block->has_ended() && ++waiting <= most_named)
        places += (places.empty() ? "" : "; ") + block->places();
    if (waiting == 0) return std::nullopt;
    if (waiting > most_named) places += fmt::format("; {} blocks more", waiting - most_named);
    return deadlock(grid, schedule, places);
  }();
  for (const auto& block : blocks) {
    workers_.front()->note(block->visits());
    if (schedule.counted_blocks > 0) workers_.front()->count(*block);
  }
  return report;
}

}  // namespace scrawl::simt
