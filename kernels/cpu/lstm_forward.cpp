/// LSTM forward. Each lane takes its samples through all steps without a barrier: for a chunk of steps the
/// input products of all cells at once, then step by step the recurrent product of a register tile of
/// samples and one block of hidden units, on whose 64 sums the cell follows while they are in L1.

#include "kernels/check.h"
#include "kernels/cpu/lstm_gates.h"
#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

/// Cells whose input products are made together: enough to amortise reading w_ih, few enough for L2.
constexpr std::int64_t chunk_cells = 128;

template <class T>
f32x16 rounded(f32x16 value) {
  T narrow[lanes];
  store(narrow, value);
  return load(narrow);
}

/// Places in the workspace. Lanes have their own `inputs`, `gates` and `cells`.
struct ForwardWorkspace {
  std::size_t w_ih, w_hh, b, table, h, c, inputs, gates, cells;
  std::int64_t chunk_steps;
  std::int64_t lane_cells;  ///< the most cells of a chunk
  std::size_t bytes;

  ForwardWorkspace(const LstmExtents& extents, const LstmLanes& lanes_of, DType type) {
    const auto [steps, batch, input_count, hidden, directions] = extents;
    const std::int64_t columns = directions * extents.blocks() * tile_columns, lane_count = lanes_of.count();
    const std::int64_t samples = std::max<std::int64_t>(lanes_of.most_samples(), 1);
    chunk_steps = std::max<std::int64_t>(chunk_cells / samples, 1);
    lane_cells = chunk_steps * samples;
    WorkspaceLayout layout;
    w_ih = layout.add<float>(columns * input_count);
    w_hh = layout.add<float>(columns * hidden);
    b = layout.add<float>(columns);
    table = layout.add<std::int32_t>(LstmCells::table_size(extents));
    h = layout.add<float>(directions * 2 * batch * extents.padded_hidden());
    c = layout.add<float>(directions * batch * extents.padded_hidden());
    inputs = layout.add<float>(type == DType::f32 ? 0 : lane_count * lane_cells * input_count);
    gates = layout.add<float>(lane_count * lane_cells * extents.blocks() * tile_columns);
    cells = layout.add<LstmCell>(lane_count * lane_cells);
    bytes = layout.bytes();
  }
};

/// One lane's run through its sequences.
template <class T>
class ForwardLane {
 public:
  ForwardLane(const LstmForward& call, const LstmExtents& extents, const ForwardWorkspace& at,
              Bytes workspace, const LstmCells& cells, const LstmLane& lane, std::int64_t index)
      : call_(call),
        extents_(extents),
        valid_(cells),
        lane_(lane),
        chunk_steps_(at.chunk_steps),
        lane_cells_(at.lane_cells),
        w_ih_(at_offset<float>(workspace, at.w_ih) + lane.direction * columns() * extents.inputs),
        w_hh_(at_offset<float>(workspace, at.w_hh) + lane.direction * columns() * extents.hidden),
        b_(at_offset<float>(workspace, at.b) + lane.direction * columns()),
        c_(at_offset<float>(workspace, at.c) + lane.direction * state_size()),
        inputs_(at_offset<float>(workspace, at.inputs) + index * lane_cells_ * extents.inputs),
        gates_(at_offset<float>(workspace, at.gates) + index * lane_cells_ * columns()),
        cells_(at_offset<LstmCell>(workspace, at.cells) + index * lane_cells_) {
    float* h = at_offset<float>(workspace, at.h) + lane.direction * 2 * state_size();
    h_[0] = h;
    h_[1] = h + state_size();
  }

  void run() {
    begin();
    for (std::int64_t first = 0; first < extents_.steps; first += chunk_steps_) {
      const std::int64_t last = std::min(first + chunk_steps_, extents_.steps);
      const std::int64_t count = list_cells(first, last);
      if (count == 0) break;
      multiply_inputs(count);
      std::int64_t done = 0;
      for (std::int64_t step = first; step < last; ++step) done += run_step(step, done);
    }
    finish();
  }

 private:
  std::int64_t columns() const { return extents_.blocks() * tile_columns; }
  std::int64_t state_size() const { return extents_.batch * extents_.padded_hidden(); }
  std::int64_t end() const { return lane_.first_sample + lane_.samples; }
  std::int64_t state_offset(std::int64_t sample) const {
    return (lane_.direction * extents_.batch + sample) * extents_.hidden;
  }
  T* y_at(std::int64_t time, std::int64_t sample) const {
    return call_.y.as<T>() +
           ((time * extents_.batch + sample) * extents_.directions + lane_.direction) * extents_.hidden;
  }

  /// Initial states, and zeros in y beyond the sequences.
  void begin() {
    for (std::int64_t n = lane_.first_sample; n < end(); ++n) {
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const int units = units_from(unit);
        const std::int64_t from = state_offset(n) + unit, to = n * extents_.padded_hidden() + unit;
        store(h_[0] + to, call_.h0.present() ? load(call_.h0.as<T>() + from, units) : f32x16{});
        store(c_ + to, call_.c0.present() ? load(call_.c0.as<float>() + from, units) : f32x16{});
      }
      for (std::int64_t t = valid_.length(n); t < extents_.steps; ++t)
        std::fill_n(y_at(t, n), extents_.hidden, T{});
    }
  }

  std::int64_t list_cells(std::int64_t first, std::int64_t last) {
    std::int64_t count = 0;
    for (std::int64_t step = first; step < last; ++step)
      for (std::int64_t n = lane_.first_sample; n < end(); ++n)
        if (step < valid_.length(n)) cells_[count++] = valid_.at(lane_.direction, step, n);
    return count;
  }

  /// gates = w_ih x + b for the listed cells.
  void multiply_inputs(std::int64_t count) {
    const std::int64_t depth = extents_.inputs;
    if constexpr (!std::is_same_v<T, float>)
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t k = 0; k < depth; k += lanes) {
          const auto columns = static_cast<int>(std::min<std::int64_t>(lanes, depth - k));
          store(inputs_ + i * depth + k, load(x_at(cells_[i]) + k, columns), columns);
        }
    for (std::int64_t block = 0; block < extents_.blocks(); ++block)
      multiply_panel({.rows = count,
                      .runs = {1, depth, 0},
                      .panel = w_ih_ + block * depth * tile_columns,
                      .init = b_ + block * tile_columns,
                      .init_stride = 0,
                      .out = gates_at(block, 0)},
                     [&](std::int64_t i) -> const float* {
                       if constexpr (std::is_same_v<T, float>)
                         return x_at(cells_[i]);
                       else
                         return inputs_ + i * depth;
                     });
  }

  /// One step of the cells listed from `listed` on; returns how many there are.
  std::int64_t run_step(std::int64_t step, std::int64_t listed) {
    const LstmCell* cells = cells_ + listed;
    const float* before = h_[step % 2];
    float* after = h_[(step + 1) % 2];
    std::int64_t count = 0;
    for (std::int64_t n = lane_.first_sample; n < end(); ++n) count += step < valid_.length(n);
    for (std::int64_t block = 0; block < extents_.blocks(); ++block) {
      float* sums = gates_at(block, listed);
      multiply_panel({.rows = count,
                      .runs = {1, extents_.hidden, 0},
                      .panel = w_hh_ + block * extents_.hidden * tile_columns,
                      .init = sums,
                      .init_stride = tile_columns,
                      .out = sums},
                     [&](std::int64_t i) { return before + cells[i].sample * extents_.padded_hidden(); });
      update({cells, static_cast<std::size_t>(count)}, block, sums, after);
    }
    return count;
  }

  /// c = f c + i g, h = o tanh(c) for a block of cells.
  void update(std::span<const LstmCell> cells, std::int64_t block, const float* sums, float* h_after) {
    const std::int64_t unit = block * lanes;
    const int units = units_from(unit);
    const bool keeps = call_.reserve.present();
    const LstmReserve reserve(extents_, call_.reserve);
    for (const LstmCell& cell : cells) {
      const f32x16 i = gate_sigmoid(load(sums)), f = gate_sigmoid(load(sums + lanes)),
                   g = gate_tanh(load(sums + 2 * lanes)), o = gate_sigmoid(load(sums + 3 * lanes));
      sums += tile_columns;
      const std::int64_t state = cell.sample * extents_.padded_hidden() + unit;
      const f32x16 c = f * load(c_ + state) + i * g;
      const f32x16 h = rounded<T>(o * gate_tanh(c));
      store(c_ + state, c);
      store(h_after + state, h);
      store(y_at(cell.time, cell.sample) + unit, h, units);
      if (!keeps) continue;
      float* kept = reserve.at(lane_.direction, block, cell.row);
      store(kept, i);
      store(kept + lanes, f);
      store(kept + 2 * lanes, g);
      store(kept + 3 * lanes, o);
      store(kept + 4 * lanes, c);
    }
  }

  void finish() {
    for (std::int64_t n = lane_.first_sample; n < end(); ++n) {
      const float* h = h_[valid_.length(n) % 2] + n * extents_.padded_hidden();
      const float* c = c_ + n * extents_.padded_hidden();
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const std::int64_t to = state_offset(n) + unit;
        if (call_.hn.present()) store(call_.hn.as<T>() + to, load(h + unit), units_from(unit));
        if (call_.cn.present()) store(call_.cn.as<float>() + to, load(c + unit), units_from(unit));
      }
    }
  }

  int units_from(std::int64_t unit) const {
    return static_cast<int>(std::min<std::int64_t>(lanes, extents_.hidden - unit));
  }
  const T* x_at(const LstmCell& cell) const {
    return call_.x.as<T>() + (cell.time * extents_.batch + cell.sample) * extents_.inputs;
  }
  float* gates_at(std::int64_t block, std::int64_t cell) const {
    return gates_ + (block * lane_cells_ + cell) * tile_columns;
  }

  const LstmForward& call_;
  const LstmExtents& extents_;
  const LstmCells& valid_;
  LstmLane lane_;
  std::int64_t chunk_steps_, lane_cells_;
  const float *w_ih_, *w_hh_, *b_;
  float* h_[2];  ///< h before the steps of even and of odd number
  float *c_, *inputs_, *gates_;
  LstmCell* cells_;
};

/// Panels of both weights, a block at a time.
template <class T>
void pack_weights(const LstmForward& call, const LstmExtents& extents, const ForwardWorkspace& at,
                  Bytes workspace, int threads) {
  const auto [steps, batch, inputs, hidden, directions] = extents;
  const std::int64_t blocks = extents.blocks();
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < directions * blocks; ++i) {
    const std::int64_t d = i / blocks, block = i % blocks;
    pack_gate_columns(extents, call.w_ih.as<T>() + d * 4 * hidden * inputs, inputs, block,
                      at_offset<float>(workspace, at.w_ih) + i * inputs * tile_columns);
    pack_gate_columns(extents, call.w_hh.as<T>() + d * 4 * hidden * hidden, hidden, block,
                      at_offset<float>(workspace, at.w_hh) + i * hidden * tile_columns);
  }
  for (std::int64_t d = 0; d < directions; ++d)
    pack_bias(extents, call.b.as<float>() + d * 4 * hidden,
              at_offset<float>(workspace, at.b) + d * blocks * tile_columns);
}

Plan<LstmForward> plan_lanes(LstmForward& call, const Selection& selection) {
  const LstmExtents extents = lstm_extents(call);
  const int threads = selection.threads;
  if (extents.inputs == 0) throw Refused("needs inputs, got I = 0");
  const LstmLanes lanes_of(extents, threads);
  const ForwardWorkspace at(extents, lanes_of, call.x.type);
  for (View* view : {&call.x, &call.lengths, &call.h0, &call.c0, &call.w_ih, &call.w_hh, &call.b, &call.y,
                     &call.hn, &call.cn})
    if (view->present()) make_plain(*view, Order::row_major);
  if (call.reserve.present()) call.reserve = make_view(nullptr, DType::u8, {LstmReserve::bytes(extents)});

  return {.workspace_bytes = at.bytes, .run = [=](const LstmForward& call, Bytes workspace, Stream) {
            const LstmCells cells(extents, call.lengths, at_offset<std::int32_t>(workspace, at.table));
            dispatch_storage(call.x.type, [&]<class T>() {
              pack_weights<T>(call, extents, at, workspace, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
              for (std::int64_t i = 0; i < lanes_of.count(); ++i)
                ForwardLane<T>(call, extents, at, workspace, cells, lanes_of[i], i).run();
            });
          }};
}

constexpr Variant<LstmForward> variants[] = {{"lanes", Origin::native, plan_lanes}};

}  // namespace

Plan<LstmForward> lstm_forward(LstmForward& call, const Selection& selection) {
  check(call);
  return first_variant<LstmForward>("lstm_forward", variants, call, selection);
}

}  // namespace scrawl::cpu
