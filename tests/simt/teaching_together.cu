/// Blocks of a launch together that exchange data through global memory at each step, as the blocks of a
/// recurrent layer do: what one owes the others, and each way to forget it.

#include <numeric>
#include <vector>

#include "kernels/cuda/device/flag.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/warp.h"
#include "tests/simt/array.h"
#include "tests/simt/teaching.h"

namespace scrawl::simt::teaching::together {

namespace {

constexpr int blocks = 4, threads = 64, steps = 5, values = blocks * threads;

struct Exchange {
  int* state;            ///< (2, blocks, threads): what is exchanged in even steps and in odd ones
  std::uint32_t* flags;  ///< (blocks): the steps that a block has written
  int* y;                ///< (blocks, threads)
};

SCRAWL_DEVICE int own_value() { return static_cast<int>(block_index().x) * threads + thread_index(); }

/// A value of the neighbour's, by the block and the lane.
SCRAWL_DEVICE int neighbour() {
  return (static_cast<int>(block_index().x) + 1) % blocks * threads + (thread_index() + 1) % threads;
}

/// Each step, every value becomes the sum of itself and its neighbour in the next block.
SCRAWL_KERNEL void add_neighbours(Exchange e) {
  int value = own_value();
  for (unsigned step = 1; step <= steps; ++step) {
    int* const state = e.state + step % 2 * values;
    state[own_value()] = value;
    sync_block();
    if (thread_index() == 0) raise_flag(e.flags + block_index().x, step);
    if (thread_index() < blocks) wait_flag(e.flags + thread_index(), step);
    sync_block();
    value += state[neighbour()];
  }
  e.y[own_value()] = value;
}

/// The same, for warps that wait by themselves: their own flags and barriers.
SCRAWL_KERNEL void add_neighbours_by_warps(Exchange e) {
  constexpr int warps = threads / warp_size;
  int value = own_value();
  for (unsigned step = 1; step <= steps; ++step) {
    int* const state = e.state + step % 2 * values;
    state[own_value()] = value;
    sync_warp();
    if (lane_index() == 0)
      raise_flag(e.flags + static_cast<int>(block_index().x) * warps + warp_index(), step);
    if (lane_index() < blocks * warps) wait_flag(e.flags + lane_index(), step);
    sync_warp();
    value += state[neighbour()];
  }
  e.y[own_value()] = value;
}

/// A chain through all blocks: the last knows what the first wrote by those between them.
SCRAWL_KERNEL void pass_down(Exchange e) {
  const auto block = block_index().x;
  if (block > 0 && thread_index() == 0) wait_flag(e.flags + block - 1, 1);
  sync_block();
  if (block == 0) e.state[thread_index()] = thread_index();
  if (block == blocks - 1) e.y[own_value()] = e.state[(thread_index() + 1) % threads];
  sync_block();
  if (thread_index() == 0) raise_flag(e.flags + block, 1);
}

/// Runs a kernel of (Exchange): what is reported, and y.
std::pair<std::optional<Report>, std::vector<int>> run_exchange(Machine& machine, const Schedule& schedule,
                                                                void (*kernel)(Exchange),
                                                                Residency residency = Residency::together) {
  const Array<int> state(machine, std::vector<int>(2 * values)), y(machine, std::vector<int>(values));
  const Array<std::uint32_t> flags(machine, std::vector<std::uint32_t>(blocks * threads / warp_size));
  auto report = run(machine, schedule,
                    {.kernel = "exchange", .blocks = {blocks}, .threads = threads, .residency = residency},
                    kernel, Exchange{state.data(), flags.data(), y.data()});
  return {std::move(report), y.values()};
}

template <void (*kKernel)(Exchange)>
Lesson::Outcome run_add_neighbours(Machine& machine, const Schedule& schedule) {
  auto [report, y] = run_exchange(machine, schedule, kKernel);
  std::vector<int> expected(values);
  std::iota(expected.begin(), expected.end(), 0);
  for (int step = 0; step < steps; ++step) {
    const auto before = expected;
    for (int i = 0; i < values; ++i)
      expected[static_cast<std::size_t>(i)] +=
          before[static_cast<std::size_t>((i / threads + 1) % blocks * threads + (i + 1) % threads)];
  }
  return {std::move(report), y == expected};
}

Lesson::Outcome run_pass_down(Machine& machine, const Schedule& schedule) {
  auto [report, y] = run_exchange(machine, schedule, pass_down);
  std::vector<int> expected(values);
  for (int i = 0; i < threads; ++i)
    expected[static_cast<std::size_t>(values - threads + i)] = (i + 1) % threads;
  return {std::move(report), y == expected};
}

constexpr Lesson right[] = {{"add_neighbours", run_add_neighbours<add_neighbours>},
                            {"add_neighbours_by_warps", run_add_neighbours<add_neighbours_by_warps>},
                            {"pass_down", run_pass_down}};

// --------------------------------------------------------------------------------------------------- wrong

template <void (*kKernel)(Exchange), Residency kResidency = Residency::together>
Lesson::Outcome run_wrong(Machine& machine, const Schedule& schedule) {
  return {run_exchange(machine, schedule, kKernel, kResidency).first, false};
}

SCRAWL_KERNEL void never_raises(Exchange e) {
  if (thread_index() == 0 && block_index().x != 2) raise_flag(e.flags + block_index().x, 1);
  if (thread_index() < blocks) wait_flag(e.flags + thread_index(), 1);
  sync_block();
}
/// Each waits for its neighbour before it raises its own.
SCRAWL_KERNEL void waits_in_a_ring(Exchange e) {
  if (thread_index() != 7) return;
  wait_flag(e.flags + (block_index().x + 1) % blocks, 1);
  raise_flag(e.flags + block_index().x, 1);
}
SCRAWL_KERNEL void waits_for_a_step_too_many(Exchange e) {
  if (thread_index() > 0) return;
  raise_flag(e.flags + block_index().x, 1);
  wait_flag(e.flags + (block_index().x + 1) % blocks, 2);
}
SCRAWL_KERNEL void raises_to_what_it_is(Exchange e) {
  if (thread_index() > 0) return;
  raise_flag(e.flags + block_index().x, 1);
  raise_flag(e.flags + block_index().x, 1);
}
SCRAWL_KERNEL void raises_behind_the_end(Exchange e) {
  raise_flag(e.flags + blocks * threads / warp_size, 1);
}

constexpr WrongLesson wrong[] = {
    {{"never_raises", run_wrong<never_raises>}, Fault::deadlock, "for 1, and the flag is 0"},
    {{"waits_in_a_ring", run_wrong<waits_in_a_ring>},
     Fault::deadlock,
     "lanes 7: in wait_flag at teaching_to"},
    {{"waits_for_a_step_too_many", run_wrong<waits_for_a_step_too_many>},
     Fault::deadlock,
     "for 2, and the flag is 1"},
    {{"raises_to_what_it_is", run_wrong<raises_to_what_it_is>}, Fault::argument, "a value above 1"},
    {{"raises_behind_the_end", run_wrong<raises_behind_the_end>}, Fault::bounds, "byte 32 of 32 bytes"},
    {{"waits_apart", run_wrong<add_neighbours, Residency::apart>}, Fault::deadlock, "not together"},
};

// -------------------------------------------------------------------------------------------------- racing

/// One place for all steps: a fast block overwrites what a slow one reads.
SCRAWL_KERNEL void exchanges_in_one_place(Exchange e) {
  int value = own_value();
  for (unsigned step = 1; step <= steps; ++step) {
    e.state[own_value()] = value;
    sync_block();
    if (thread_index() == 0) raise_flag(e.flags + block_index().x, step);
    if (thread_index() < blocks) wait_flag(e.flags + thread_index(), step);
    sync_block();
    value += e.state[neighbour()];
  }
  e.y[own_value()] = value;
}
SCRAWL_KERNEL void raises_before_the_barrier(Exchange e) {
  e.state[own_value()] = 1;
  if (thread_index() == 0) raise_flag(e.flags + block_index().x, 1);
  if (thread_index() < blocks) wait_flag(e.flags + thread_index(), 1);
  sync_block();
  e.y[own_value()] = e.state[neighbour()];
}
SCRAWL_KERNEL void reads_before_the_barrier(Exchange e) {
  e.state[own_value()] = 1;
  sync_block();
  if (thread_index() == 0) raise_flag(e.flags + block_index().x, 1);
  if (thread_index() < blocks) wait_flag(e.flags + thread_index(), 1);
  e.y[own_value()] = e.state[neighbour()];
}
SCRAWL_KERNEL void waits_for_nobody(Exchange e) {
  e.state[own_value()] = 1;
  sync_block();
  if (thread_index() == 0) raise_flag(e.flags + block_index().x, 1);
  e.y[own_value()] = e.state[neighbour()];
}
/// The wait returns at once: the flag was that high a step ago.
SCRAWL_KERNEL void waits_for_the_step_before(Exchange e) {
  for (unsigned step = 1; step <= 2; ++step) {
    int* const state = e.state + step % 2 * values;
    state[own_value()] = 1;
    sync_block();
    if (thread_index() == 0) raise_flag(e.flags + block_index().x, step);
    if (thread_index() < blocks) wait_flag(e.flags + thread_index(), step - 1);
    sync_block();
    e.y[own_value()] = state[neighbour()];
  }
}
/// What its writer did after it had raised the flag.
SCRAWL_KERNEL void writes_after_it_raised(Exchange e) {
  if (thread_index() > 0) return;
  raise_flag(e.flags + block_index().x, 1);
  e.state[own_value()] = 1;
  wait_flag(e.flags + (block_index().x + 1) % blocks, 1);
  e.y[own_value()] = e.state[neighbour() / threads * threads];
}
SCRAWL_KERNEL void reads_a_flag_as_if_it_were_data(Exchange e) {
  if (thread_index() > 0) return;
  raise_flag(e.flags + block_index().x, 1);
  e.y[own_value()] = static_cast<int>(e.flags[(block_index().x + 1) % blocks]);
}
SCRAWL_KERNEL void sets_a_flag_as_if_it_were_data(Exchange e) {
  if (thread_index() > 0) return;
  if (block_index().x == 0) e.flags[1] = 2;
  if (block_index().x == 1) raise_flag(e.flags + 1, 3);
}
SCRAWL_KERNEL void raises_one_flag_from_two_warps(Exchange e) {
  if (lane_index() == 0) raise_flag(e.flags + block_index().x, 1 + static_cast<unsigned>(warp_index()));
}

constexpr Lesson racing[] = {
    {"exchanges_in_one_place", run_wrong<exchanges_in_one_place>},
    {"raises_before_the_barrier", run_wrong<raises_before_the_barrier>},
    {"reads_before_the_barrier", run_wrong<reads_before_the_barrier>},
    {"waits_for_nobody", run_wrong<waits_for_nobody>},
    {"waits_for_the_step_before", run_wrong<waits_for_the_step_before>},
    {"writes_after_it_raised", run_wrong<writes_after_it_raised>},
    {"reads_a_flag_as_if_it_were_data", run_wrong<reads_a_flag_as_if_it_were_data>},
    {"sets_a_flag_as_if_it_were_data", run_wrong<sets_a_flag_as_if_it_were_data>},
    {"raises_one_flag_from_two_warps", run_wrong<raises_one_flag_from_two_warps>},
};

}  // namespace

std::span<const Lesson> right_lessons() { return right; }
std::span<const WrongLesson> wrong_lessons() { return wrong; }
std::span<const Lesson> racing_lessons() { return racing; }

}  // namespace scrawl::simt::teaching::together
