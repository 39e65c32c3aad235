#include "tests/simt/teaching.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/mma.h"
#include "kernels/cuda/device/pipeline.h"
#include "kernels/cuda/device/vector.h"
#include "kernels/cuda/device/warp.h"
#include "tests/simt/array.h"

namespace scrawl::simt::teaching {

namespace {

constexpr int lanes = 96;

// --------------------------------------------------------------------------------------------------- right

struct Tile {
  int values[lanes];
};

/// Each block turns its values around.
SCRAWL_KERNEL void reverse(const int* x, int* y) {
  auto& tile = shared_memory<Tile>();
  const int first = static_cast<int>(block_index().x) * block_size();
  tile.values[thread_index()] = x[first + thread_index()];
  sync_block();
  y[first + thread_index()] = tile.values[block_size() - 1 - thread_index()];
}

Lesson::Outcome run_reverse(Machine& machine, const Schedule& schedule) {
  const auto x = counted(3 * lanes);
  const Array<int> from(machine, x), to(machine, x.size());
  auto report = run(machine, schedule,
                    {.kernel = "reverse", .blocks = {3}, .threads = lanes, .shared_bytes = sizeof(Tile)},
                    reverse, static_cast<const int*>(from.data()), to.data());
  auto expected = x;
  for (int block = 0; block < 3; ++block)
    std::reverse(expected.begin() + block * lanes, expected.begin() + (block + 1) * lanes);
  const bool right = to.values() == expected;
  return {std::move(report), right};
}

struct Sums {
  int of_warp[warp_size];
};

/// The sum of a block's values, by shuffles and then through shared memory, several times over the same
/// memory.
SCRAWL_KERNEL void add_up(const int* x, int* sums, int rounds) {
  auto& shared = shared_memory<Sums>();
  for (int round = 0; round < rounds; ++round) {
    int sum = x[round * block_size() + thread_index()];
    for (int distance = warp_size / 2; distance > 0; distance /= 2) sum += shuffle_down(sum, distance);
    if (lane_index() == 0) shared.of_warp[warp_index()] = sum;
    sync_block();
    if (thread_index() == 0) {
      int total = 0;
      for (int warp = 0; warp < block_size() / warp_size; ++warp) total += shared.of_warp[warp];
      sums[round] = total;
    }
    sync_block();
  }
}

Lesson::Outcome run_add_up(Machine& machine, const Schedule& schedule) {
  constexpr int rounds = 3;
  const auto x = counted(rounds * lanes);
  const Array<int> from(machine, x), sums(machine, rounds);
  auto report = run(machine, schedule, {.kernel = "add_up", .threads = lanes, .shared_bytes = sizeof(Sums)},
                    add_up, static_cast<const int*>(from.data()), sums.data(), rounds);
  std::vector<int> expected(rounds);
  for (int round = 0; round < rounds; ++round)
    expected[static_cast<std::size_t>(round)] =
        std::accumulate(x.begin() + round * lanes, x.begin() + (round + 1) * lanes, 0);
  const bool right = sums.values() == expected;
  return {std::move(report), right};
}

/// Neighbours in a warp pass values on through shared memory.
SCRAWL_KERNEL void pass_on(const int* x, int* y, int rounds) {
  auto& tile = shared_memory<Tile>();
  int value = x[thread_index()];
  for (int round = 0; round < rounds; ++round) {
    tile.values[thread_index()] = value;
    sync_warp();
    value = tile.values[warp_index() * warp_size + (lane_index() + 1) % warp_size];
    sync_warp();
  }
  y[thread_index()] = value;
}

Lesson::Outcome run_pass_on(Machine& machine, const Schedule& schedule) {
  const auto x = counted(lanes);
  const Array<int> from(machine, x), to(machine, lanes);
  auto report = run(machine, schedule, {.kernel = "pass_on", .threads = lanes, .shared_bytes = sizeof(Tile)},
                    pass_on, static_cast<const int*>(from.data()), to.data(), 3);
  bool right = true;
  const auto y = to.values();
  for (int i = 0; i < lanes; ++i)
    right &= y[static_cast<std::size_t>(i)] == x[static_cast<std::size_t>(i / 32 * 32 + (i + 3) % 32)];
  return {std::move(report), right};
}

/// Places in front of each lane that hold odd values, by a vote; the running sum, by a scan.
SCRAWL_KERNEL void count_odd(const int* x, int* before, int* running) {
  const int value = x[thread_index()];
  const auto odd = ballot(value % 2 != 0);
  before[thread_index()] = __builtin_popcount(odd & ((1u << lane_index()) - 1));
  running[thread_index()] = scan_warp(value, [](int a, int b) { return a + b; });
}

Lesson::Outcome run_count_odd(Machine& machine, const Schedule& schedule) {
  const std::vector<int> x{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3,
                           2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5};
  const Array<int> from(machine, x), before(machine, x.size()), running(machine, x.size());
  auto report = run(machine, schedule, {.kernel = "count_odd", .threads = warp_size}, count_odd,
                    static_cast<const int*>(from.data()), before.data(), running.data());
  bool right = true;
  int odd = 0, sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += x[i];
    right &= before.values()[i] == odd && running.values()[i] == sum;
    odd += x[i] % 2;
  }
  return {std::move(report), right};
}

/// Stages of a ring that copies fill ahead.
struct Ring {
  static constexpr int stages = 3;
  alignas(16) int values[stages][lanes];
};

/// The sum over rows of what the neighbour fetched.
SCRAWL_KERNEL void sum_ahead(const int* x, int* y, int rows) {
  auto& ring = shared_memory<Ring>();
  const auto fetch = [&](int row) {
    if (row < rows)
      copy_to_shared<4>(&ring.values[row % Ring::stages][thread_index()], x + row * lanes + thread_index());
    commit_copies();
  };
  for (int row = 0; row < Ring::stages - 1; ++row) fetch(row);
  int sum = 0;
  for (int row = 0; row < rows; ++row) {
    wait_copies<Ring::stages - 2>();
    sync_block();
    fetch(row + Ring::stages - 1);
    sum += ring.values[row % Ring::stages][(thread_index() + 33) % lanes];
  }
  y[thread_index()] = sum;
}

Lesson::Outcome run_sum_ahead(Machine& machine, const Schedule& schedule) {
  constexpr int rows = 7;
  const auto x = counted(rows * lanes);
  const Array<int> from(machine, x), to(machine, lanes);
  auto report =
      run(machine, schedule, {.kernel = "sum_ahead", .threads = lanes, .shared_bytes = sizeof(Ring)},
          sum_ahead, static_cast<const int*>(from.data()), to.data(), rows);
  bool right = true;
  const auto y = to.values();
  for (int i = 0; i < lanes; ++i) {
    int sum = 0;
    for (int row = 0; row < rows; ++row) sum += x[static_cast<std::size_t>(row * lanes + (i + 33) % lanes)];
    right &= y[static_cast<std::size_t>(i)] == sum;
  }
  return {std::move(report), right};
}

struct Pairs {
  int pairs[2][64];
};

/// Each pair of warps exchanges its values, by a barrier of its own.
SCRAWL_KERNEL void exchange_in_pairs(const int* x, int* y) {
  auto& pair = shared_memory<Pairs>().pairs[thread_index() / 64];
  const int i = thread_index() % 64;
  pair[i] = x[thread_index()];
  sync_warps(1 + thread_index() / 64, 64);
  y[thread_index()] = pair[i ^ 32];
}

Lesson::Outcome run_exchange_in_pairs(Machine& machine, const Schedule& schedule) {
  constexpr int threads = 128;
  const auto x = counted(threads);
  const Array<int> from(machine, x), to(machine, threads);
  auto report = run(machine, schedule,
                    {.kernel = "exchange_in_pairs", .threads = threads, .shared_bytes = sizeof(Pairs)},
                    exchange_in_pairs, static_cast<const int*>(from.data()), to.data());
  bool right = true;
  const auto y = to.values();
  for (std::size_t i = 0; i < y.size(); ++i) right &= y[i] == x[i ^ 32];
  return {std::move(report), right};
}

constexpr Lesson right[] = {{"reverse", run_reverse},     {"add_up", run_add_up},
                            {"pass_on", run_pass_on},     {"count_odd", run_count_odd},
                            {"sum_ahead", run_sum_ahead}, {"exchange_in_pairs", run_exchange_in_pairs}};

// --------------------------------------------------------------------------------------------------- wrong

/// Runs a kernel of (int* x) on 64 values, shared memory for 64 more.
template <void (*kKernel)(int*)>
Lesson::Outcome run_wrong(Machine& machine, const Schedule& schedule) {
  const Array<int> x(machine, counted(64));
  return {run(machine, schedule, {.kernel = "wrong", .threads = 64, .shared_bytes = 64 * sizeof(int)},
              kKernel, x.data()),
          false};
}

SCRAWL_KERNEL void reads_behind_the_end(int* x) {
  const int value = x[thread_index() + 1];
  sync_block();
  x[thread_index()] = value;
}
SCRAWL_KERNEL void writes_before_the_start(int* x) { x[thread_index() - 1] = 0; }
SCRAWL_KERNEL void writes_behind_shared_memory(int*) { shared_memory<Tile>().values[thread_index() + 1] = 0; }
SCRAWL_KERNEL void reads_what_nobody_wrote(int* x) { x[thread_index()] = shared_memory<Tile>().values[0]; }
SCRAWL_KERNEL void reads_two_at_an_odd_place(int* x) {
  if (thread_index() == 1) *reinterpret_cast<volatile double*>(x + 1) = 0;
}
SCRAWL_KERNEL void returns_before_the_barrier(int* x) {
  if (x[thread_index()] == 7) return;
  sync_block();
}
SCRAWL_KERNEL void meets_at_two_places(int* x) {
  if (x[thread_index()] > 7)
    sync_block();
  else
    sync_block();
}
SCRAWL_KERNEL void names_others_only(int*) { sync_warp(all_lanes & ~(1u << lane_index())); }
SCRAWL_KERNEL void names_one_that_returned(int*) {
  if (lane_index() == 5) return;
  sync_warp();
}
SCRAWL_KERNEL void disagrees_about_the_mask(int*) { sync_warp(lane_index() < 16 ? all_lanes : 0xffff0000u); }
SCRAWL_KERNEL void reads_a_lane_that_takes_no_part(int* x) {
  if (lane_index() < 16) x[thread_index()] = shuffle(1, 16 + lane_index(), 0x0000ffffu);
}
SCRAWL_KERNEL void waits_in_a_circle(int*) {
  if (warp_index() == 0)
    sync_block();
  else if (lane_index() == 0)
    sync_block();
  else
    sync_warp(0xfffffffeu), sync_warp(all_lanes);
}

volatile int host_value = 0;
SCRAWL_KERNEL void writes_to_the_host(int* x) { host_value = x[0]; }

/// Of many blocks, every third is wrong.
SCRAWL_KERNEL void fails_here_and_there(int* x) {
  const auto block = static_cast<int>(block_index().x);
  x[thread_index() + (block % 3 == 1 ? 64 : 0)] = block;
}

Lesson::Outcome run_fails_here_and_there(Machine& machine, const Schedule& schedule) {
  const Array<int> x(machine, counted(64));
  return {run(machine, schedule, {.kernel = "fails_here_and_there", .blocks = {40}, .threads = 64},
              fails_here_and_there, x.data()),
          false};
}

SCRAWL_KERNEL void reads_what_was_released(int* x) { x[0] += 1; }

Lesson::Outcome run_reads_what_was_released(Machine& machine, const Schedule& schedule) {
  int* released = nullptr;
  {
    const Array<int> x(machine, counted(64));
    released = x.data();
  }
  return {run(machine, schedule, {.kernel = "reads_what_was_released"}, reads_what_was_released, released),
          false};
}

/// A lane's own variable, in shared memory: its neighbours read it.
SCRAWL_KERNEL void reads_another_lanes_stack(int* x) {
  auto& places = *reinterpret_cast<const int* volatile(*)[64]>(&shared_memory<int>());
  volatile int own = x[0];
  places[thread_index()] = const_cast<const int*>(&own);
  sync_block();
  x[thread_index()] = *places[(thread_index() + 1) % 64];
  sync_block();
}

Lesson::Outcome run_reads_another_lanes_stack(Machine& machine, const Schedule& schedule) {
  const Array<int> x(machine, counted(64));
  return {run(machine, schedule,
              {.kernel = "reads_another_lanes_stack", .threads = 64, .shared_bytes = 64 * sizeof(int*)},
              reads_another_lanes_stack, x.data()),
          false};
}

SCRAWL_KERNEL void reads_a_copy_before_its_wait(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  commit_copies();
  x[thread_index()] = own;
}
SCRAWL_KERNEL void waits_for_what_it_did_not_commit(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  wait_copies<0>();
  x[thread_index()] = own;
}
SCRAWL_KERNEL void waits_for_too_few_groups(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  commit_copies();
  wait_copies<1>();
  x[thread_index()] = own;
}
SCRAWL_KERNEL void copies_to_global_memory(int* x) { copy_to_shared<4>(x, x + 1); }
SCRAWL_KERNEL void copies_from_shared_memory(int*) {
  auto& values = shared_memory<Tile>().values;
  if (thread_index() == 0) copy_to_shared<4>(&values[0], &values[1]);
}
SCRAWL_KERNEL void writes_where_a_copy_arrives(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  own = 7;
  commit_copies();
  wait_copies<0>();
}
SCRAWL_KERNEL void copies_twice_to_one_place(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  commit_copies();
  copy_to_shared<4>(&own, x + thread_index());
  commit_copies();
  wait_copies<0>();
}
SCRAWL_KERNEL void changes_what_a_copy_reads(int* x) {
  auto& own = shared_memory<Tile>().values[thread_index()];
  copy_to_shared<4>(&own, x + thread_index());
  commit_copies();
  x[thread_index()] = -1;
  wait_copies<0>();
}
SCRAWL_KERNEL void waits_with_halves_of_two_warps(int*) {
  if (lane_index() < 16) sync_warps(1, 32);
}
SCRAWL_KERNEL void copies_from_an_odd_place(int* x) { copy_to_shared<16>(&shared_memory<Tile>(), x + 1); }
SCRAWL_KERNEL void loads_matrices_from_global_memory(int* x) { load_matrices<1, false>(x); }
SCRAWL_KERNEL void loads_a_vector_from_an_odd_place(int* x) {
  const auto vector = load_vector<2>(x + 1);
  x[0] = vector[0];
}
SCRAWL_KERNEL void waits_at_a_barrier_for_one_warp_too_many(int*) {
  if (warp_index() == 0) sync_warps(1, 64);
}
SCRAWL_KERNEL void meets_at_a_barrier_from_two_places(int*) {
  if (warp_index() == 0)
    sync_warps(1, 64);
  else
    sync_warps(1, 64);
}
SCRAWL_KERNEL void names_a_barrier_that_is_not_there(int*) { sync_warps(16, 64); }
SCRAWL_KERNEL void never_ends(int* x) {
  while (*const_cast<volatile int*>(x) >= 0) {
  }
}

Lesson::Outcome run_never_ends(Machine& machine, const Schedule& schedule) {
  const Array<int> x(machine, counted(64));
  auto impatient = schedule;
  impatient.accesses_per_turn = 7;
  impatient.most_turns = 1000;
  return {run(machine, impatient, {.kernel = "never_ends", .threads = 64}, never_ends, x.data()), false};
}

constexpr WrongLesson wrong[] = {
    {{"never_ends", run_never_ends}, Fault::endless, "after 1000 turns"},
    {{"reads_a_copy_before_its_wait", run_wrong<reads_a_copy_before_its_wait>},
     Fault::undefined,
     "shared memory"},
    {{"waits_for_what_it_did_not_commit", run_wrong<waits_for_what_it_did_not_commit>},
     Fault::undefined,
     "shared memory"},
    {{"waits_for_too_few_groups", run_wrong<waits_for_too_few_groups>}, Fault::undefined, "shared memory"},
    {{"copies_to_global_memory", run_wrong<copies_to_global_memory>}, Fault::bounds, "shared memory"},
    {{"copies_from_shared_memory", run_wrong<copies_from_shared_memory>},
     Fault::bounds,
     "source in global memory"},
    {{"writes_where_a_copy_arrives", run_wrong<writes_where_a_copy_arrives>},
     Fault::race,
     "still bringing it"},
    {{"copies_twice_to_one_place", run_wrong<copies_twice_to_one_place>}, Fault::race, "still bringing it"},
    {{"changes_what_a_copy_reads", run_wrong<changes_what_a_copy_reads>},
     Fault::race,
     "changed before the wait"},
    {{"waits_with_halves_of_two_warps", run_wrong<waits_with_halves_of_two_warps>},
     Fault::divergence,
     "expected whole warps"},
    {{"copies_from_an_odd_place", run_wrong<copies_from_an_odd_place>}, Fault::alignment, "16 bytes"},
    {{"loads_matrices_from_global_memory", run_wrong<loads_matrices_from_global_memory>},
     Fault::bounds,
     "shared memory"},
    {{"loads_a_vector_from_an_odd_place", run_wrong<loads_a_vector_from_an_odd_place>},
     Fault::alignment,
     "access of 8 bytes"},
    {{"waits_at_a_barrier_for_one_warp_too_many", run_wrong<waits_at_a_barrier_for_one_warp_too_many>},
     Fault::deadlock,
     "sync_warps at teaching.cu"},
    {{"meets_at_a_barrier_from_two_places", run_wrong<meets_at_a_barrier_from_two_places>},
     Fault::divergence,
     "barrier 1"},
    {{"names_a_barrier_that_is_not_there", run_wrong<names_a_barrier_that_is_not_there>},
     Fault::argument,
     "from 1 to 15"},
    {{"fails_here_and_there", run_fails_here_and_there}, Fault::bounds, "global memory"},
    {{"reads_what_was_released", run_reads_what_was_released}, Fault::bounds, "read of 4 bytes"},
    {{"reads_another_lanes_stack", run_reads_another_lanes_stack},
     Fault::bounds,
     "the stack of another lane"},
    {{"reads_behind_the_end", run_wrong<reads_behind_the_end>},
     Fault::bounds,
     "byte 256 of 256 bytes of global"},
    {{"writes_before_the_start", run_wrong<writes_before_the_start>}, Fault::bounds, "write of 4 bytes"},
    {{"writes_behind_shared_memory", run_wrong<writes_behind_shared_memory>},
     Fault::bounds,
     "256 bytes of shared"},
    {{"reads_what_nobody_wrote", run_wrong<reads_what_nobody_wrote>}, Fault::undefined, "nobody has written"},
    {{"reads_two_at_an_odd_place", run_wrong<reads_two_at_an_odd_place>},
     Fault::alignment,
     "access of 8 bytes"},
    {{"returns_before_the_barrier", run_wrong<returns_before_the_barrier>}, Fault::divergence, "returned"},
    {{"meets_at_two_places", run_wrong<meets_at_two_places>}, Fault::divergence, "sync_block at teaching.cu"},
    {{"names_others_only", run_wrong<names_others_only>}, Fault::mask, "leaves out the calling lane"},
    {{"names_one_that_returned", run_wrong<names_one_that_returned>}, Fault::mask, "returned"},
    {{"disagrees_about_the_mask", run_wrong<disagrees_about_the_mask>}, Fault::mask, "mask"},
    {{"reads_a_lane_that_takes_no_part", run_wrong<reads_a_lane_that_takes_no_part>},
     Fault::mask,
     "takes no part"},
    {{"waits_in_a_circle", run_wrong<waits_in_a_circle>}, Fault::deadlock, "lanes"},
    {{"writes_to_the_host", run_wrong<writes_to_the_host>}, Fault::bounds, "no memory of the device"},
};

// -------------------------------------------------------------------------------------------------- racing

/// On values that all lanes write before anyone reads them, so that nothing is undefined.
SCRAWL_KERNEL void writes_one_place_twice(int* x) { x[thread_index() / 2] = thread_index(); }
SCRAWL_KERNEL void reads_a_neighbour_too_early(int* x) {
  const int value = x[(thread_index() + 1) % 64];
  x[thread_index()] = value;
}
SCRAWL_KERNEL void syncs_the_warp_for_the_block(int* x) {
  x[thread_index()] = 1;
  sync_warp();
  x[(thread_index() + 32) % 64] = 2;
}
SCRAWL_KERNEL void syncs_half_a_warp_for_all_of_it(int* x) {
  x[thread_index()] = 1;
  sync_warp(lane_index() < 16 ? 0x0000ffffu : 0xffff0000u);
  x[thread_index() ^ 16] = 2;
}

SCRAWL_KERNEL void takes_a_shuffle_for_a_barrier(int* x) {
  x[thread_index()] = 1;
  const int sum = reduce_warp(1, [](int a, int b) { return a + b; });
  x[thread_index() ^ 1] = sum;
}

/// What another lane copied, after its wait but without a barrier. The shared values are there beforehand.
SCRAWL_KERNEL void takes_a_wait_for_a_barrier(int* x) {
  auto& tile = shared_memory<Tile>();
  tile.values[thread_index()] = 1;
  sync_block();
  copy_to_shared<4>(&tile.values[thread_index()], x + thread_index());
  commit_copies();
  wait_copies<0>();
  x[64 - 1 - thread_index()] = tile.values[(thread_index() + 1) % 64];
}

/// Every block writes what the others write.
SCRAWL_KERNEL void meets_other_blocks(int* x) { x[thread_index()] = static_cast<int>(block_index().x); }

Lesson::Outcome run_meets_other_blocks(Machine& machine, const Schedule& schedule) {
  const Array<int> x(machine, counted(64));
  return {run(machine, schedule, {.kernel = "meets_other_blocks", .blocks = {3}, .threads = 64},
              meets_other_blocks, x.data()),
          false};
}

constexpr Lesson racing[] = {
    {"takes_a_wait_for_a_barrier", run_wrong<takes_a_wait_for_a_barrier>},
    {"takes_a_shuffle_for_a_barrier", run_wrong<takes_a_shuffle_for_a_barrier>},
    {"meets_other_blocks", run_meets_other_blocks},
    {"writes_one_place_twice", run_wrong<writes_one_place_twice>},
    {"reads_a_neighbour_too_early", run_wrong<reads_a_neighbour_too_early>},
    {"syncs_the_warp_for_the_block", run_wrong<syncs_the_warp_for_the_block>},
    {"syncs_half_a_warp_for_all_of_it", run_wrong<syncs_half_a_warp_for_all_of_it>},
};

/// Those of this file, and those of blocks together.
template <class T, std::size_t kCount>
std::vector<T> all_of(const T (&apart)[kCount], std::span<const T> together) {
  std::vector<T> all(std::begin(apart), std::end(apart));
  all.insert(all.end(), together.begin(), together.end());
  return all;
}

}  // namespace

std::vector<Lesson> racing_lessons() { return all_of(racing, together::racing_lessons()); }
std::vector<Lesson> right_lessons() { return all_of(right, together::right_lessons()); }
std::vector<WrongLesson> wrong_lessons() { return all_of(wrong, together::wrong_lessons()); }

}  // namespace scrawl::simt::teaching
