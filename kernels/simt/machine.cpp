#include "kernels/simt/machine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <fstream>
#include <numeric>
#include <thread>
#include <utility>

#include "kernels/error.h"

namespace scrawl::simt {

namespace {

/// The most of each site.
void add(std::vector<Visits>& all, const Visits& one) {
  const auto found = std::ranges::find(all, one.site, &Visits::site);
  if (found == all.end())
    all.push_back(one);
  else
    found->by_one_lane = std::max(found->by_one_lane, one.by_one_lane);
}

}  // namespace

/// What a thread keeps from launch to launch.
struct Machine::Worker {
  explicit Worker(AddressSpace& memory) : memory(memory) {}
  ~Worker() { memory.release(shared); }

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

  void note(const std::vector<Block::Visits>& of_block) {
    for (const auto& [site, of_lane] : of_block) add(visits, {site, std::ranges::max(of_lane)});
  }

  AddressSpace& memory;
  std::unique_ptr<Stacks> stacks;
  std::byte* shared = nullptr;
  std::exception_ptr exception;
  std::vector<Visits> visits;
};

namespace {

/// Each stack of a lane and the page that guards it are a mapping of their own, and a process may have so
/// many.
int most_workers() {
  std::ifstream file("/proc/sys/vm/max_map_count");
  int mappings = 65530;
  file >> mappings;
  return std::max(1, mappings / 4 * 3 / (2 * Grid::most_threads));
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
  std::vector<std::uint64_t> order(std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(schedule.seed));

  std::optional<Races> races;
  if (schedule.look_for == Schedule::LookFor::races) races.emplace();
  const auto workers = races ? 1 : std::min<std::size_t>(workers_.size(), order.size());
  std::atomic<std::size_t> next = 0, failed_at = order.size();
  std::vector<std::pair<std::size_t, Report>> reports(workers_.size(), {order.size(), {}});
  const auto work = [&](std::size_t number) {
    auto& worker = *workers_[number];
    for (auto i = next++; i < failed_at; i = next++) {
      const auto at = order[i];
      const Dim index{static_cast<unsigned>(at % grid.blocks.x),
                      static_cast<unsigned>(at / grid.blocks.x % grid.blocks.y),
                      static_cast<unsigned>(at / grid.blocks.x / grid.blocks.y)};
      Block block(memory_, grid, index, schedule, worker.stacks_of(grid.threads),
                  worker.shared_of(grid.shared_bytes), races ? &*races : nullptr);
      const bool is_right = block.run();
      worker.note(block.visits());
      if (is_right) continue;
      // Blocks before this one are running or have run: the first report does not depend on the workers.
      reports[number] = {i, block.report()};
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
  ++work_.launches;
  work_.lanes += order.size() * static_cast<std::uint64_t>(grid.threads);
  work_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (auto& worker : workers_)
    if (const auto exception = std::exchange(worker->exception, nullptr)) std::rethrow_exception(exception);
  for (auto& worker : workers_) {
    for (const auto& visited : worker->visits) add(visits_, visited);
    worker->visits.clear();
  }
  const auto first = std::ranges::min_element(reports, {}, [](const auto& report) { return report.first; });
  if (first->first == order.size()) return std::nullopt;
  return first->second;
}

}  // namespace scrawl::simt
