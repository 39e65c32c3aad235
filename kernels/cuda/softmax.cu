/// Softmax: each row is read once and kept in registers, by a team of lanes that its width decides. Narrow
/// rows pass through shared memory, so that memory sees whole vectors whatever their width. Rows too wide for
/// a block's registers are read twice.

#include "kernels/softmax.h"

#include <algorithm>
#include <bit>

#include "kernels/check.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

struct Narrow {
  static constexpr int threads = 256, per_lane = 4, widest = per_lane * warp_size;
};

/// Two operands in registers.
struct BackwardBlock {
  static constexpr int most_threads = 1024, per_lane = 8, widest = per_lane * most_threads;
};

// ---------------------------------------------------------------------------------------- what a team does

/// From x to y, in registers.
template <class Registers, class Team>
SCRAWL_DEVICE void normalise(Registers& row, Team& team, SoftmaxKind kind, int classes) {
  auto& x = row.values;
  float largest = -INFINITY, sum = 0;
  row.each(team, classes, [&](int r, int) { largest = fmaxf(largest, x[r]); });
  largest = team.reduce(largest, Largest{});
  if (kind == SoftmaxKind::softmax)
    row.each(team, classes, [&](int r, int) { sum += x[r] = expf(x[r] - largest); });
  else
    row.each(team, classes, [&](int r, int) { sum += expf(x[r] -= largest); });
  sum = team.reduce(sum, Sum{});
  if (kind == SoftmaxKind::softmax) {
    const float factor = 1 / sum;
    row.each(team, classes, [&](int r, int) { x[r] *= factor; });
  } else {
    const float log_sum = logf(sum);
    row.each(team, classes, [&](int r, int) { x[r] -= log_sum; });
  }
}

/// softmax: dx = y (dy - sum dy y);  log-softmax: dx = dy - exp(y) sum dy
SCRAWL_DEVICE float term_of(SoftmaxKind kind, float y, float dy) {
  return kind == SoftmaxKind::softmax ? dy * y : dy;
}
SCRAWL_DEVICE float gradient_of(SoftmaxKind kind, float y, float dy, float sum) {
  return kind == SoftmaxKind::softmax ? y * (dy - sum) : dy - expf(y) * sum;
}

/// From dy to dx, in registers.
template <class Registers, class Team>
SCRAWL_DEVICE void differentiate(Registers& dy, const Registers& y, Team& team, SoftmaxKind kind,
                                 int classes) {
  float sum = 0;
  dy.each(team, classes, [&](int r, int) { sum += term_of(kind, y.values[r], dy.values[r]); });
  sum = team.reduce(sum, Sum{});
  dy.each(team, classes,
          [&](int r, int) { dy.values[r] = gradient_of(kind, y.values[r], dy.values[r], sum); });
}

// ------------------------------------------------------------------------------------------------- narrow

/// Rows that a block takes through shared memory, a team each: they lie together.
template <class T>
struct NarrowRows {
  LaneTeam team;
  int classes, count;   ///< of rows
  std::int64_t offset;  ///< of the first row
  bool in_vectors;      ///< whether memory is aligned

  SCRAWL_DEVICE NarrowRows(std::int64_t rows, int classes, int lanes, bool in_vectors)
      : team{lanes}, classes(classes), in_vectors(in_vectors) {
    const int each = Narrow::threads / lanes;
    const auto first = std::int64_t{block_index().x} * each;
    count = static_cast<int>(rows - first < each ? rows - first : each);
    offset = first * classes;
  }

  /// Where the team's row lies in the tile, and its width: 0 for teams that have none.
  SCRAWL_DEVICE int row() const { return thread_index() / team.lanes * classes; }
  SCRAWL_DEVICE int width() const { return thread_index() / team.lanes < count ? classes : 0; }

  SCRAWL_DEVICE void fetch(T* tile, const T* x) const { copy(tile, x + offset); }
  SCRAWL_DEVICE void put(T* y, const T* tile) const { copy(y + offset, tile); }

 private:
  SCRAWL_DEVICE void copy(T* to, const T* from) const {
    constexpr int vector = full_vector<T>;
    const int elements = count * classes, whole = in_vectors ? elements / vector * vector : 0;
    for (int i = thread_index() * vector; i < whole; i += Narrow::threads * vector)
      store_vector(to + i, load_vector<vector>(from + i));
    for (int i = whole + thread_index(); i < elements; i += Narrow::threads) to[i] = from[i];
  }
};

template <class T>
struct NarrowTile {
  alignas(16) T values[Narrow::threads * Narrow::per_lane];
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Narrow::threads) void softmax_narrow(SoftmaxKind kind, const T* x, T* y,
                                                                  std::int64_t rows, int classes, int lanes,
                                                                  bool in_vectors) {
  auto& tile = shared_memory<NarrowTile<T>>();
  NarrowRows<T> own(rows, classes, lanes, in_vectors);
  own.fetch(tile.values, x);
  sync_block();
  Row<Narrow::per_lane, 1> row;
  row.load(own.team, tile.values + own.row(), own.width());
  normalise(row, own.team, kind, own.width());
  row.store(own.team, tile.values + own.row(), own.width());
  sync_block();
  own.put(y, tile.values);
}

template <class T>
struct NarrowTiles {
  NarrowTile<T> y, dy;
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Narrow::threads) void softmax_backward_narrow(SoftmaxKind kind, const T* y,
                                                                           const T* dy, T* dx,
                                                                           std::int64_t rows, int classes,
                                                                           int lanes, bool in_vectors) {
  auto& tile = shared_memory<NarrowTiles<T>>();
  NarrowRows<T> own(rows, classes, lanes, in_vectors);
  own.fetch(tile.y.values, y);
  own.fetch(tile.dy.values, dy);
  sync_block();
  Row<Narrow::per_lane, 1> value, gradient;
  value.load(own.team, tile.y.values + own.row(), own.width());
  gradient.load(own.team, tile.dy.values + own.row(), own.width());
  differentiate(gradient, value, own.team, kind, own.width());
  gradient.store(own.team, tile.dy.values + own.row(), own.width());
  sync_block();
  own.put(dx, tile.dy.values);
}

// --------------------------------------------------------------------------------------- a warp or a block

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(WarpRows::threads) void softmax_warp(SoftmaxKind kind, const T* x, T* y,
                                                                  std::int64_t rows, int classes) {
  const auto row = std::int64_t{block_index().x} * (WarpRows::threads / warp_size) + warp_index();
  if (row >= rows) return;
  LaneTeam team{warp_size};
  Row<WarpRows::per_lane, kVector> values;
  values.load(team, x + row * classes, classes);
  normalise(values, team, kind, classes);
  values.store(team, y + row * classes, classes);
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(WarpRows::threads) void softmax_backward_warp(SoftmaxKind kind, const T* y,
                                                                           const T* dy, T* dx,
                                                                           std::int64_t rows, int classes) {
  const auto row = std::int64_t{block_index().x} * (WarpRows::threads / warp_size) + warp_index();
  if (row >= rows) return;
  LaneTeam team{warp_size};
  Row<WarpRows::per_lane, kVector> value, gradient;
  value.load(team, y + row * classes, classes);
  gradient.load(team, dy + row * classes, classes);
  differentiate(gradient, value, team, kind, classes);
  gradient.store(team, dx + row * classes, classes);
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(BlockRows::most_threads) void softmax_block(SoftmaxKind kind, const T* x, T* y,
                                                                         int classes) {
  const auto offset = std::int64_t{block_index().x} * classes;
  BlockTeam team{shared_memory<BlockTeam::Scratch>()};
  Row<BlockRows::per_lane, kVector> values;
  values.load(team, x + offset, classes);
  normalise(values, team, kind, classes);
  values.store(team, y + offset, classes);
}

template <class T, int kVector>
SCRAWL_KERNEL SCRAWL_THREADS(BackwardBlock::most_threads) void softmax_backward_block(SoftmaxKind kind,
                                                                                      const T* y, const T* dy,
                                                                                      T* dx, int classes) {
  const auto offset = std::int64_t{block_index().x} * classes;
  BlockTeam team{shared_memory<BlockTeam::Scratch>()};
  Row<BackwardBlock::per_lane, kVector> value, gradient;
  value.load(team, y + offset, classes);
  gradient.load(team, dy + offset, classes);
  differentiate(gradient, value, team, kind, classes);
  gradient.store(team, dx + offset, classes);
}

// ----------------------------------------------------------------------------------------------- streamed

/// The largest element so far, and the sum of exp(x - largest).
struct Online {
  float largest = -INFINITY, sum = 0;

  /// A term of the common largest needs no exponential, and -inf less -inf would be NaN.
  SCRAWL_DEVICE static float rescaled(float sum, float from, float to) {
    return from == to ? sum : sum * expf(from - to);
  }
  SCRAWL_DEVICE void add(float x) {
    const float largest_now = fmaxf(largest, x);
    sum = rescaled(sum, largest, largest_now) + rescaled(1, x, largest_now);
    largest = largest_now;
  }
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(StreamedRows::threads) void softmax_streamed(SoftmaxKind kind, const T* x, T* y,
                                                                          int classes) {
  const auto offset = std::int64_t{block_index().x} * classes;
  BlockTeam team{shared_memory<BlockTeam::Scratch>()};
  Online own;
  for (int k = thread_index(); k < classes; k += StreamedRows::threads) own.add(to_float(x[offset + k]));
  const float largest = team.reduce(own.largest, Largest{});
  const float sum = team.reduce(Online::rescaled(own.sum, own.largest, largest), Sum{});
  // Elements of +inf cost nothing above, and leave nothing to say.
  const float factor = largest == INFINITY ? NAN : 1 / sum, log_sum = largest == INFINITY ? NAN : logf(sum);
  for (int k = thread_index(); k < classes; k += StreamedRows::threads) {
    const float shifted = to_float(x[offset + k]) - largest;
    y[offset + k] = from_float<T>(kind == SoftmaxKind::softmax ? expf(shifted) * factor : shifted - log_sum);
  }
}

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(StreamedRows::threads) void softmax_backward_streamed(SoftmaxKind kind,
                                                                                   const T* y, const T* dy,
                                                                                   T* dx, int classes) {
  const auto offset = std::int64_t{block_index().x} * classes;
  BlockTeam team{shared_memory<BlockTeam::Scratch>()};
  float sum = 0;
  for (int k = thread_index(); k < classes; k += StreamedRows::threads)
    sum += term_of(kind, to_float(y[offset + k]), to_float(dy[offset + k]));
  sum = team.reduce(sum, Sum{});
  for (int k = thread_index(); k < classes; k += StreamedRows::threads)
    dx[offset + k] = from_float<T>(gradient_of(kind, to_float(y[offset + k]), to_float(dy[offset + k]), sum));
}

// ---------------------------------------------------------------------------------------------- launchers

std::int64_t classes_of(const auto& call) { return call.y.shape[call.y.shape.rank - 1]; }
std::int64_t rows_of(const auto& call) { return call.y.shape.count() / classes_of(call); }

bool is_aligned(const SoftmaxForward& c) {
  return is_vector_aligned(c.x.data) && is_vector_aligned(c.y.data);
}
bool is_aligned(const SoftmaxBackward& c) {
  return is_vector_aligned(c.y.data) && is_vector_aligned(c.dy.data) && is_vector_aligned(c.dx.data);
}

/// Launches a kernel of these operands.
template <class T, class Kernel, class... Others>
void start(const Launch& l, Kernel kernel, const SoftmaxForward& c, Others... others) {
  launch(l, kernel, c.kind, c.x.as<const T>(), c.y.as<T>(), others...);
}
template <class T, class Kernel, class... Others>
void start(const Launch& l, Kernel kernel, const SoftmaxBackward& c, Others... others) {
  launch(l, kernel, c.kind, c.y.as<const T>(), c.dy.as<const T>(), c.dx.as<T>(), others...);
}

/// Calls f<T, kVector>(): with whole vectors where rows and memory allow.
template <class F>
void dispatch_vectors(const auto& call, F&& f) {
  dispatch_storage(call.y.type, [&]<class T>() {
    if (is_aligned(call) && classes_of(call) % full_vector<T> == 0)
      f.template operator()<T, full_vector<T>>();
    else
      f.template operator()<T, 1>();
  });
}

void refuse_wider_than(int widest, std::int64_t classes) {
  if (classes > widest) throw Refused("needs at most {} classes, got {}", widest, classes);
}

void place(SoftmaxForward& call) { make_row_major(call.x, call.y); }
void place(SoftmaxBackward& call) { make_row_major(call.y, call.dy, call.dx); }

template <class Call>
constexpr bool is_forward = std::is_same_v<Call, SoftmaxForward>;

template <class Call>
Plan<Call> plan_narrow(Call& call, const Selection&) {
  refuse_wider_than(Narrow::widest, classes_of(call));
  place(call);
  return {.run = [](const Call& c, Bytes, Stream stream) {
    const auto classes = static_cast<int>(classes_of(c));
    const int lanes = static_cast<int>(
        std::bit_ceil(static_cast<unsigned>((classes + Narrow::per_lane - 1) / Narrow::per_lane)));
    dispatch_storage(c.y.type, [&]<class T>() {
      Launch l{.kernel = "softmax_narrow",
               .blocks = {blocks_for(rows_of(c), Narrow::threads / lanes)},
               .threads = Narrow::threads,
               .stream = stream};
      if constexpr (is_forward<Call>) {
        l.shared_bytes = shared_size<NarrowTile<T>, 4096>;
        start<T>(l, softmax_narrow<T>, c, rows_of(c), classes, lanes, is_aligned(c));
      } else {
        l.kernel = "softmax_backward_narrow";
        l.shared_bytes = shared_size<NarrowTiles<T>, 8192>;
        start<T>(l, softmax_backward_narrow<T>, c, rows_of(c), classes, lanes, is_aligned(c));
      }
    });
  }};
}

template <class Call>
Plan<Call> plan_warp(Call& call, const Selection&) {
  refuse_wider_than(WarpRows::widest, classes_of(call));
  place(call);
  return {.run = [](const Call& c, Bytes, Stream stream) {
    const auto classes = static_cast<int>(classes_of(c));
    dispatch_vectors(c, [&]<class T, int kVector>() {
      Launch l{.kernel = "softmax_warp",
               .blocks = {blocks_for(rows_of(c), WarpRows::threads / warp_size)},
               .threads = WarpRows::threads,
               .stream = stream};
      if constexpr (is_forward<Call>) {
        start<T>(l, softmax_warp<T, kVector>, c, rows_of(c), classes);
      } else {
        l.kernel = "softmax_backward_warp";
        start<T>(l, softmax_backward_warp<T, kVector>, c, rows_of(c), classes);
      }
    });
  }};
}

template <class Call>
Plan<Call> plan_block(Call& call, const Selection&) {
  using Shape = std::conditional_t<is_forward<Call>, BlockRows, BackwardBlock>;
  refuse_wider_than(Shape::widest, classes_of(call));
  place(call);
  return {.run = [](const Call& c, Bytes, Stream stream) {
    const auto classes = static_cast<int>(classes_of(c));
    const int lanes = (classes + Shape::per_lane - 1) / Shape::per_lane;
    dispatch_vectors(c, [&]<class T, int kVector>() {
      Launch l{.kernel = "softmax_block",
               .blocks = {blocks_for(rows_of(c), 1)},
               .threads = (lanes + warp_size - 1) / warp_size * warp_size,
               .shared_bytes = shared_size<BlockTeam::Scratch, 256>,
               .stream = stream};
      if constexpr (is_forward<Call>) {
        start<T>(l, softmax_block<T, kVector>, c, classes);
      } else {
        l.kernel = "softmax_backward_block";
        start<T>(l, softmax_backward_block<T, kVector>, c, classes);
      }
    });
  }};
}

template <class Call>
Plan<Call> plan_streamed(Call& call, const Selection&) {
  constexpr int widest = 1 << 30;
  refuse_wider_than(widest, classes_of(call));
  place(call);
  return {.run = [](const Call& c, Bytes, Stream stream) {
    const auto classes = static_cast<int>(classes_of(c));
    dispatch_storage(c.y.type, [&]<class T>() {
      Launch l{.kernel = "softmax_streamed",
               .blocks = {blocks_for(rows_of(c), 1)},
               .threads = StreamedRows::threads,
               .shared_bytes = shared_size<BlockTeam::Scratch, 256>,
               .stream = stream};
      if constexpr (is_forward<Call>) {
        start<T>(l, softmax_streamed<T>, c, classes);
      } else {
        l.kernel = "softmax_backward_streamed";
        start<T>(l, softmax_backward_streamed<T>, c, classes);
      }
    });
  }};
}

template <class Call>
constexpr Variant<Call> variants[] = {
    {"narrow", Origin::native, plan_narrow<Call>},
    {"warp", Origin::native, plan_warp<Call>},
    {"block", Origin::native, plan_block<Call>},
    {"streamed", Origin::native, plan_streamed<Call>},
};

}  // namespace

Plan<SoftmaxForward> softmax_forward(SoftmaxForward& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<SoftmaxForward>("softmax_forward", variants<SoftmaxForward>, call,
                                                 selection);
}

Plan<SoftmaxBackward> softmax_backward(SoftmaxBackward& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<SoftmaxBackward>("softmax_backward", variants<SoftmaxBackward>, call,
                                                  selection);
}

}  // namespace SCRAWL_CUDA
