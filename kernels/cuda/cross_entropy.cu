/// Cross-entropy with its gradient: each row is read once and kept in registers, by a team of lanes that its
/// width decides. Rows too wide for a block's registers are read three times.
///
///   loss = log sum_k exp(x[k] - m) - sum_k q[k] (x[k] - m),  m = max_k x[k]
///
/// Each lane has a share of the loss, of its own classes: no memory is reached by the number of the target.

#include <bit>

#include "kernels/check.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/rows.h"
#include "kernels/loss.h"

namespace SCRAWL_CUDA {

namespace {

struct Narrow {
  static constexpr int threads = 128, per_lane = 4, widest = per_lane * warp_size;
};

constexpr int most_in_vector = 4;  // whose gradients, in f32, fill 16 bytes

/// The operands, without x.
struct Samples {
  const float* adjustment;
  const std::int32_t* targets;
  float *loss, *d_x;
  std::int64_t rows;
  int classes;
  float at_target, everywhere;  ///< q[k] = everywhere, and at_target more where k is the target

  explicit Samples(const CrossEntropy& c)
      : adjustment(c.adjustment.as<const float>()),
        targets(c.targets.as<const std::int32_t>()),
        loss(c.loss.as<float>()),
        d_x(c.d_x.as<float>()),
        rows(c.x.shape[0]),
        classes(static_cast<int>(c.x.shape[1])),
        at_target(static_cast<float>(1 - static_cast<double>(c.label_smoothing))),
        everywhere(
            static_cast<float>(static_cast<double>(c.label_smoothing) / static_cast<double>(classes))) {}

  SCRAWL_DEVICE float adjusted(float x, int k) const { return adjustment ? x + adjustment[k] : x; }
  SCRAWL_DEVICE float q(int k, int target) const { return k == target ? at_target + everywhere : everywhere; }

  /// What class k adds to sum q (x - m). A class of probability 0 that nothing asks for costs nothing.
  SCRAWL_DEVICE float wanted(float shifted, int k, int target) const {
    const float weight = q(k, target);
    return weight > 0 ? weight * shifted : 0;
  }
  SCRAWL_DEVICE float gradient(float p, int k, int target) const { return target < 0 ? 0 : p - q(k, target); }
  SCRAWL_DEVICE void store_loss(std::int64_t n, int target, float value) const {
    loss[n] = target < 0 ? 0 : value;
  }
};

/// From x to d_x, in registers. Returns the lane's share of the loss.
template <class Registers, class Team>
SCRAWL_DEVICE float classify(Registers& row, Team& team, const Samples& of, int target, int classes) {
  auto& x = row.values;
  float largest = -INFINITY, sum = 0, wanted = 0;
  row.each(team, classes, [&](int r, int k) { largest = fmaxf(largest, x[r] = of.adjusted(x[r], k)); });
  largest = team.reduce(largest, Largest{});
  row.each(team, classes, [&](int r, int k) {
    const float shifted = x[r] - largest;
    wanted += of.wanted(shifted, k, target);
    sum += x[r] = expf(shifted);
  });
  sum = team.reduce(sum, Sum{});
  const float factor = 1 / sum;
  row.each(team, classes, [&](int r, int k) { x[r] = of.gradient(x[r] * factor, k, target); });
  return (team.lane() == 0 ? logf(sum) : 0) - wanted;
}

/// A row a team, several teams a warp: all lanes of a warp must call, those beyond the last row too.
template <class Tile, int kVector, class T>
SCRAWL_DEVICE void classify_by_lanes(const Samples& of, const T* x, int lanes) {
  LaneTeam team{lanes};
  const auto n = std::int64_t{block_index().x} * (Tile::threads / lanes) + thread_index() / lanes;
  const bool is_there = n < of.rows;
  const int classes = is_there ? of.classes : 0, target = is_there ? of.targets[n] : -1;
  Row<Tile::per_lane, kVector> row;
  row.load(team, x + n * of.classes, classes);
  const float loss = team.reduce(classify(row, team, of, target, classes), Sum{});
  if (is_there && team.lane() == 0) of.store_loss(n, target, loss);
  if (of.d_x) row.store(team, of.d_x + n * of.classes, classes);
}

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Narrow::threads) void cross_entropy_narrow(Samples of, const T* x, int lanes) {
  classify_by_lanes<Narrow, 1>(of, x, lanes);
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(WarpRows::threads) void cross_entropy_warp(Samples of, const T* x) {
  classify_by_lanes<WarpRows, kVector>(of, x, warp_size);
}

/// Shared memory of a block that has one row.
struct Scratch {
  BlockTeam::Scratch team;
  PerWarp<float> loss;
};

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(BlockRows::most_threads) void cross_entropy_block(Samples of, const T* x) {
  const auto n = std::int64_t{block_index().x}, offset = n * of.classes;
  const int target = of.targets[n];
  auto& scratch = shared_memory<Scratch>();
  BlockTeam team{scratch.team};
  Row<BlockRows::per_lane, kVector> row;
  row.load(team, x + offset, of.classes);
  const float loss = reduce_block(classify(row, team, of, target, of.classes), Sum{}, scratch.loss);
  if (thread_index() == 0) of.store_loss(n, target, loss);
  if (of.d_x) row.store(team, of.d_x + offset, of.classes);
}

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(StreamedRows::threads) void cross_entropy_streamed(Samples of, const T* x) {
  const auto n = std::int64_t{block_index().x}, offset = n * of.classes;
  const int target = of.targets[n];
  auto& scratch = shared_memory<Scratch>();
  BlockTeam team{scratch.team};
  const auto logit = [&](int k) { return of.adjusted(to_float(x[offset + k]), k); };
  float largest = -INFINITY, sum = 0, wanted = 0;
  for (int k = thread_index(); k < of.classes; k += StreamedRows::threads) largest = fmaxf(largest, logit(k));
  largest = team.reduce(largest, Largest{});
  for (int k = thread_index(); k < of.classes; k += StreamedRows::threads) {
    const float shifted = logit(k) - largest;
    wanted += of.wanted(shifted, k, target);
    sum += expf(shifted);
  }
  sum = team.reduce(sum, Sum{});
  const float share = (thread_index() == 0 ? logf(sum) : 0) - wanted;
  const float loss = reduce_block(share, Sum{}, scratch.loss);
  if (thread_index() == 0) of.store_loss(n, target, loss);
  if (!of.d_x) return;
  const float factor = 1 / sum;
  for (int k = thread_index(); k < of.classes; k += StreamedRows::threads)
    of.d_x[offset + k] = of.gradient(expf(logit(k) - largest) * factor, k, target);
}

// ---------------------------------------------------------------------------------------------- launchers

std::int64_t classes_of(const CrossEntropy& call) { return call.x.shape[1]; }
std::int64_t rows_of(const CrossEntropy& call) { return call.x.shape[0]; }

/// Calls f<T, kVector>(): with vectors where rows and memory allow.
template <class F>
void dispatch_vectors(const CrossEntropy& c, F&& f) {
  const bool is_aligned = is_vector_aligned(c.x.data) && is_vector_aligned(c.d_x.data);  // or absent
  dispatch_storage(c.x.type, [&]<class T>() {
    if (is_aligned && classes_of(c) % most_in_vector == 0)
      f.template operator()<T, most_in_vector>();
    else
      f.template operator()<T, 1>();
  });
}

void place(CrossEntropy& call, int widest) {
  if (classes_of(call) > widest) throw Refused("needs at most {} classes, got {}", widest, classes_of(call));
  make_row_major(call.x, call.adjustment, call.targets, call.loss, call.d_x);
}

Plan<CrossEntropy> plan_narrow(CrossEntropy& call, const Selection&) {
  place(call, Narrow::widest);
  return {.run = [](const CrossEntropy& c, Bytes, Stream stream) {
    const auto vectors = (static_cast<unsigned>(classes_of(c)) + Narrow::per_lane - 1) / Narrow::per_lane;
    const int lanes = static_cast<int>(std::bit_ceil(vectors));
    dispatch_storage(c.x.type, [&]<class T>() {
      launch({.kernel = "cross_entropy_narrow",
              .blocks = {blocks_for(rows_of(c), Narrow::threads / lanes)},
              .threads = Narrow::threads,
              .stream = stream},
             cross_entropy_narrow<T>, Samples(c), c.x.as<const T>(), lanes);
    });
  }};
}

Plan<CrossEntropy> plan_warp(CrossEntropy& call, const Selection&) {
  place(call, WarpRows::widest);
  return {.run = [](const CrossEntropy& c, Bytes, Stream stream) {
    dispatch_vectors(c, [&]<class T, int kVector>() {
      launch({.kernel = "cross_entropy_warp",
              .blocks = {blocks_for(rows_of(c), WarpRows::threads / warp_size)},
              .threads = WarpRows::threads,
              .stream = stream},
             cross_entropy_warp<T, kVector>, Samples(c), c.x.as<const T>());
    });
  }};
}

Plan<CrossEntropy> plan_block(CrossEntropy& call, const Selection&) {
  place(call, BlockRows::widest);
  return {.run = [](const CrossEntropy& c, Bytes, Stream stream) {
    const int lanes = (static_cast<int>(classes_of(c)) + BlockRows::per_lane - 1) / BlockRows::per_lane;
    dispatch_vectors(c, [&]<class T, int kVector>() {
      launch({.kernel = "cross_entropy_block",
              .blocks = {blocks_for(rows_of(c), 1)},
              .threads = (lanes + warp_size - 1) / warp_size * warp_size,
              .shared_bytes = shared_size<Scratch, 384>,
              .stream = stream},
             cross_entropy_block<T, kVector>, Samples(c), c.x.as<const T>());
    });
  }};
}

Plan<CrossEntropy> plan_streamed(CrossEntropy& call, const Selection&) {
  place(call, 1 << 30);
  return {.run = [](const CrossEntropy& c, Bytes, Stream stream) {
    dispatch_storage(c.x.type, [&]<class T>() {
      launch({.kernel = "cross_entropy_streamed",
              .blocks = {blocks_for(rows_of(c), 1)},
              .threads = StreamedRows::threads,
              .shared_bytes = shared_size<Scratch, 384>,
              .stream = stream},
             cross_entropy_streamed<T>, Samples(c), c.x.as<const T>());
    });
  }};
}

}  // namespace

Plan<CrossEntropy> cross_entropy(CrossEntropy& call, const Selection& selection) {
  static constexpr Variant<CrossEntropy> variants[] = {
      {"narrow", Origin::native, plan_narrow},
      {"warp", Origin::native, plan_warp},
      {"block", Origin::native, plan_block},
      {"streamed", Origin::native, plan_streamed},
  };
  check(call);
  return first_variant<CrossEntropy>("cross_entropy", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
