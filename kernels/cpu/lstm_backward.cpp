/// LSTM backward. Lanes run the recurrence from the last step to the first and leave the gradients of all
/// gate sums, (D, blocks, cells, 64); dx, dw and db are products of these with the weights and inputs, made
/// afterwards in one go. Their sums run over cells in the order of time, then sample, whatever the threads.

#include "kernels/check.h"
#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

/// Cells that one pass of a product reads, so that its operands stay in L2.
constexpr std::int64_t input_cells = 128, weight_cells = 256;

constexpr float zeros[tile_columns] = {};

std::int64_t panels_of(std::int64_t columns) { return (columns + tile_columns - 1) / tile_columns; }

/// Places in the workspace. `features`: for each thread, 64 columns of x or h of every cell.
struct BackwardWorkspace {
  std::size_t w_ih, w_hh, table, gates, dh, dc, cells, features;
  std::size_t bytes;

  BackwardWorkspace(const LstmExtents& extents, const LstmLanes& lanes_of, int threads) {
    const auto [steps, batch, inputs, hidden, directions] = extents;
    const std::int64_t columns = directions * extents.blocks() * tile_columns;
    WorkspaceLayout layout;
    w_ih = layout.add<float>(columns * panels_of(inputs) * tile_columns);
    w_hh = layout.add<float>(columns * panels_of(hidden) * tile_columns);
    table = layout.add<std::int32_t>(LstmCells::table_size(extents));
    gates = layout.add<float>(columns * extents.cells());
    dh = layout.add<float>(directions * batch * padded_units(extents));
    dc = layout.add<float>(directions * batch * padded_units(extents));
    cells = layout.add<LstmCell>(lanes_of.count() * lanes_of.most_samples());
    features = layout.add<float>(threads * extents.cells() * tile_columns);
    bytes = layout.bytes();
  }

  /// A row of dh and dc: whole panels.
  static std::int64_t padded_units(const LstmExtents& extents) {
    return panels_of(extents.hidden) * tile_columns;
  }
};

/// One call's operands and workspace, which all phases read.
struct BackwardPass {
  const LstmBackward& call;
  const LstmExtents& extents;
  const LstmCells& valid;
  const float *w_ih, *w_hh;  ///< (panels of I, D, gates, 64), (D, panels of H, gates, 64)
  float *gates, *dh, *dc;
  LstmCell* cells;
  float* features;
  std::int64_t lane_samples;

  std::int64_t columns() const { return extents.blocks() * tile_columns; }
  float* gates_at(std::int64_t direction, std::int64_t block, std::int64_t row) const {
    return gates + ((direction * extents.blocks() + block) * extents.cells() + row) * tile_columns;
  }
  /// Runs over the gates of one cell, block by block.
  Runs gate_runs(std::int64_t directions) const {
    return {directions * extents.blocks(), tile_columns, extents.cells() * tile_columns};
  }
};

/// One lane's recurrence.
template <class T>
class BackwardLane {
 public:
  BackwardLane(const BackwardPass& pass, const LstmLane& lane, std::int64_t index)
      : pass_(pass),
        call_(pass.call),
        extents_(pass.extents),
        lane_(lane),
        units_(BackwardWorkspace::padded_units(pass.extents)),
        dh_(pass.dh + lane.direction * extents_.batch * units_),
        dc_(pass.dc + lane.direction * extents_.batch * units_),
        cells_(pass.cells + index * pass.lane_samples),
        reserve_(pass.extents, pass.call.reserve) {}

  void run() {
    begin();
    for (std::int64_t step = extents_.steps - 1; step >= 0; --step) {
      std::int64_t count = 0;
      for (std::int64_t n = lane_.first_sample; n < end(); ++n)
        if (step < pass_.valid.length(n)) cells_[count++] = pass_.valid.at(lane_.direction, step, n);
      for (std::int64_t block = 0; block < extents_.blocks(); ++block)
        for (std::int64_t i = 0; i < count; ++i) differentiate(cells_[i], block, step);
      if (step > 0 || call_.dh0.present()) multiply_hidden(count);
    }
    finish();
  }

 private:
  std::int64_t end() const { return lane_.first_sample + lane_.samples; }
  int units_from(std::int64_t unit) const {
    return static_cast<int>(std::clamp<std::int64_t>(extents_.hidden - unit, 0, lanes));
  }
  std::int64_t state_offset(std::int64_t sample) const {
    return (lane_.direction * extents_.batch + sample) * extents_.hidden;
  }

  void begin() {
    for (std::int64_t n = lane_.first_sample; n < end(); ++n)
      for (std::int64_t unit = 0; unit < units_; unit += lanes) {
        const std::int64_t from = state_offset(n) + unit, to = n * units_ + unit;
        const int units = units_from(unit);
        store(dh_ + to, call_.dhn.present() ? load(call_.dhn.as<T>() + from, units) : f32x16{});
        store(dc_ + to, call_.dcn.present() ? load(call_.dcn.as<float>() + from, units) : f32x16{});
      }
  }

  /// c before this step's cell: that of the step before in the lane's direction, or c0.
  f32x16 previous_c(const LstmCell& cell, std::int64_t block, std::int64_t step) const {
    if (step == 0) {
      const std::int64_t unit = block * lanes, from = state_offset(cell.sample) + unit;
      return call_.c0.present() ? load(call_.c0.as<float>() + from, units_from(unit)) : f32x16{};
    }
    const std::int64_t before = cell.time + (lane_.direction == 0 ? -1 : 1);
    return load(reserve_.at(lane_.direction, block, pass_.valid.row(before, cell.sample)) + 4 * lanes);
  }

  /// Gradients of a block's gate sums, and dc of the step before.
  void differentiate(const LstmCell& cell, std::int64_t block, std::int64_t step) {
    const float* kept = reserve_.at(lane_.direction, block, cell.row);
    const f32x16 i = load(kept), f = load(kept + lanes), g = load(kept + 2 * lanes),
                 o = load(kept + 3 * lanes), tanh_c = tanh(load(kept + 4 * lanes));
    const std::int64_t unit = block * lanes, state = cell.sample * units_ + unit;
    const T* dy = call_.dy.as<T>() +
                  ((cell.time * extents_.batch + cell.sample) * extents_.directions + lane_.direction) *
                      extents_.hidden +
                  unit;
    const f32x16 dh = load(dh_ + state) + load(dy, units_from(unit));
    const f32x16 dc = load(dc_ + state) + dh * o * (1.0f - tanh_c * tanh_c);
    float* d_sums = pass_.gates_at(lane_.direction, block, cell.row);
    store(d_sums, dc * g * i * (1.0f - i));
    store(d_sums + lanes, dc * previous_c(cell, block, step) * f * (1.0f - f));
    store(d_sums + 2 * lanes, dc * i * (1.0f - g * g));
    store(d_sums + 3 * lanes, dh * tanh_c * o * (1.0f - o));
    store(dc_ + state, dc * f);
  }

  /// dh of the step before, for the listed cells: w_hh^T times the gates' gradients.
  void multiply_hidden(std::int64_t count) {
    for (std::int64_t first_unit = 0; first_unit < units_; first_unit += tile_columns)
      for_each_tile(count, [&](std::int64_t first, int rows) {
        const float* d_sums[tile_rows];
        alignas(64) float sums[tile_rows * tile_columns];
        for (int r = 0; r < rows; ++r) d_sums[r] = pass_.gates_at(lane_.direction, 0, cells_[first + r].row);
        multiply<1>(rows, {.rows = d_sums,
                           .runs = pass_.gate_runs(1),
                           .panel = pass_.w_hh + (lane_.direction * units_ + first_unit) * pass_.columns(),
                           .init = zeros,
                           .init_stride = 0,
                           .out = sums});
        for (int r = 0; r < rows; ++r)
          std::copy_n(sums + r * tile_columns, tile_columns,
                      dh_ + cells_[first + r].sample * units_ + first_unit);
      });
  }

  void finish() {
    for (std::int64_t n = lane_.first_sample; n < end(); ++n)
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const std::int64_t to = state_offset(n) + unit, from = n * units_ + unit;
        const int units = units_from(unit);
        if (call_.dh0.present()) store(call_.dh0.as<T>() + to, load(dh_ + from), units);
        if (call_.dc0.present()) store(call_.dc0.as<float>() + to, load(dc_ + from), units);
      }
  }

  const BackwardPass& pass_;
  const LstmBackward& call_;
  const LstmExtents& extents_;
  LstmLane lane_;
  std::int64_t units_;
  float *dh_, *dc_;
  LstmCell* cells_;
  LstmReserve reserve_;
};

/// dx = w_ih^T times the gates' gradients, summed over directions; zero beyond the sequences.
template <class T>
void differentiate_inputs(const BackwardPass& pass, int threads) {
  const auto& extents = pass.extents;
  const auto places = pass.valid.places();
  const std::int64_t count = pass.valid.count(), inputs = extents.inputs;
  T* dx = pass.call.dx.as<T>();
  for (std::int64_t n = 0; n < extents.batch; ++n)
    for (std::int64_t t = pass.valid.length(n); t < extents.steps; ++t)
      std::fill_n(dx + (t * extents.batch + n) * inputs, inputs, T{});

  const std::int64_t block = std::clamp<std::int64_t>((count + threads - 1) / threads, 1, input_cells);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t begin = 0; begin < count; begin += block)
    for (std::int64_t panel = 0; panel < panels_of(inputs); ++panel)
      for_each_tile(std::min(block, count - begin), [&](std::int64_t first, int rows) {
        const float* d_sums[tile_rows];
        alignas(64) float sums[tile_rows * tile_columns];
        for (int r = 0; r < rows; ++r) d_sums[r] = pass.gates_at(0, 0, begin + first + r);
        multiply<1>(rows, {.rows = d_sums,
                           .runs = pass.gate_runs(extents.directions),
                           .panel = pass.w_ih + panel * extents.directions * pass.columns() * tile_columns,
                           .init = zeros,
                           .init_stride = 0,
                           .out = sums});
        for (int r = 0; r < rows; ++r)
          for (std::int64_t column = panel * tile_columns, c = 0; c < tile_columns; c += lanes) {
            const auto columns = static_cast<int>(std::clamp<std::int64_t>(inputs - column - c, 0, lanes));
            T* to = dx + places[static_cast<std::size_t>(begin + first + r)] * inputs + column + c;
            store(to, load(sums + r * tile_columns + c), columns);
          }
      });
}

/// 64 columns of what a weight was multiplied with, for every cell: x, or h of the step before.
template <class T>
class Features {
 public:
  Features(const BackwardPass& pass, float* to) : pass_(pass), extents_(pass.extents), to_(to) {}

  void of_inputs(std::int64_t first) {
    gather(extents_.inputs - first, [&](std::int64_t time, std::int64_t sample) {
      return pass_.call.x.template as<T>() + (time * extents_.batch + sample) * extents_.inputs + first;
    });
  }

  void of_hidden(std::int64_t direction, std::int64_t first) {
    const auto [steps, batch, inputs, hidden, directions] = extents_;
    gather(hidden - first, [&](std::int64_t time, std::int64_t sample) -> const T* {
      const std::int64_t before = time + (direction == 0 ? -1 : 1);
      if (before >= 0 && pass_.valid.valid(before, sample))
        return pass_.call.y.template as<T>() + ((before * batch + sample) * directions + direction) * hidden +
               first;
      if (!pass_.call.h0.present()) return nullptr;
      return pass_.call.h0.template as<T>() + (direction * batch + sample) * hidden + first;
    });
  }

 private:
  /// `source` gives the address of a cell's columns, null where they are zero.
  template <class Source>
  void gather(std::int64_t columns, Source&& source) {
    float* to = to_;
    for (const std::int32_t place : pass_.valid.places()) {
      const T* from = source(place / extents_.batch, place % extents_.batch);
      for (std::int64_t c = 0; c < tile_columns; c += lanes, to += lanes) {
        const auto left = static_cast<int>(std::clamp<std::int64_t>(columns - c, 0, lanes));
        store(to, from != nullptr && left > 0 ? load(from + c, left) : f32x16{});
      }
    }
  }

  const BackwardPass& pass_;
  const LstmExtents& extents_;
  float* to_;
};

/// Calls `visit(m, row)` for the columns m of a gate block that are no padding; row is the weights' own.
template <class Visit>
void for_each_gate_row(const LstmExtents& extents, std::int64_t block, Visit&& visit) {
  for (std::int64_t m = 0; m < tile_columns; ++m) {
    const std::int64_t unit = block * lanes + m % lanes;
    if (unit < extents.hidden) visit(m, m / lanes * extents.hidden + unit);
  }
}

/// 64 columns of one direction's dw (4H, `depth`), from `first` on.
void differentiate_weights(const BackwardPass& pass, std::int64_t direction, const float* features, float* dw,
                           std::int64_t depth, std::int64_t first) {
  const std::int64_t count = pass.valid.count();
  for (std::int64_t block = 0; block < pass.extents.blocks(); ++block) {
    alignas(64) float sums[tile_columns * tile_columns] = {};  // (gate columns, features)
    for (std::int64_t begin = 0; begin < count; begin += weight_cells)
      for_each_tile(tile_columns, [&](std::int64_t m, int rows) {
        const float* d_sums[tile_rows];
        for (int r = 0; r < rows; ++r) d_sums[r] = pass.gates_at(direction, block, begin) + m + r;
        multiply<tile_columns>(rows, {.rows = d_sums,
                                      .runs = {1, std::min(weight_cells, count - begin), 0},
                                      .panel = features + begin * tile_columns,
                                      .init = sums + m * tile_columns,
                                      .init_stride = tile_columns,
                                      .out = sums + m * tile_columns});
      });
    const auto columns = std::min<std::int64_t>(tile_columns, depth - first);
    for_each_gate_row(pass.extents, block, [&](std::int64_t m, std::int64_t row) {
      std::copy_n(sums + m * tile_columns, columns, dw + row * depth + first);
    });
  }
}

/// One direction's db (4H).
void differentiate_bias(const BackwardPass& pass, std::int64_t direction, float* db) {
  for (std::int64_t block = 0; block < pass.extents.blocks(); ++block) {
    f32x16 sums[tile_columns / lanes] = {};
    const float* d_sums = pass.gates_at(direction, block, 0);
    for (std::int64_t row = 0; row < pass.valid.count(); ++row)
      for (auto& sum : sums) {
        sum += load(d_sums);
        d_sums += lanes;
      }
    for_each_gate_row(pass.extents, block,
                      [&](std::int64_t m, std::int64_t row) { db[row] = sums[m / lanes][m % lanes]; });
  }
}

/// dw_ih, dw_hh and db: panels of 64 of their columns over the threads.
template <class T>
void differentiate_parameters(const BackwardPass& pass, int threads) {
  const auto& [steps, batch, inputs, hidden, directions] = pass.extents;
  const std::int64_t input_panels = panels_of(inputs), panels = input_panels + panels_of(hidden);
  const std::int64_t tasks = directions * panels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    float* buffer = pass.features + thread * pass.extents.cells() * tile_columns;
    Features<T> features(pass, buffer);
    for (std::int64_t task = tasks * thread / threads; task < tasks * (thread + 1) / threads; ++task) {
      const std::int64_t d = task / panels, panel = task % panels;
      if (panel < input_panels) {
        features.of_inputs(panel * tile_columns);
        differentiate_weights(pass, d, buffer, pass.call.dw_ih.as<float>() + d * 4 * hidden * inputs, inputs,
                              panel * tile_columns);
      } else {
        const std::int64_t first = (panel - input_panels) * tile_columns;
        features.of_hidden(d, first);
        differentiate_weights(pass, d, buffer, pass.call.dw_hh.as<float>() + d * 4 * hidden * hidden, hidden,
                              first);
      }
      if (panel == 0) differentiate_bias(pass, d, pass.call.db.as<float>() + d * 4 * hidden);
    }
  }
}

template <class T>
void pack_weights(const LstmBackward& call, const LstmExtents& extents, const BackwardWorkspace& at,
                  Bytes workspace, int threads) {
  const auto [steps, batch, inputs, hidden, directions] = extents;
  const std::int64_t input_panels = panels_of(inputs), hidden_panels = panels_of(hidden),
                     panel_size = extents.blocks() * tile_columns * tile_columns;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < directions * (input_panels + hidden_panels); ++i) {
    const std::int64_t d = i % directions, panel = i / directions, hidden_panel = panel - input_panels;
    if (hidden_panel < 0)
      pack_gate_rows(extents, call.w_ih.as<T>() + d * 4 * hidden * inputs, inputs, panel * tile_columns,
                     at_offset<float>(workspace, at.w_ih) + i * panel_size);
    else
      pack_gate_rows(extents, call.w_hh.as<T>() + d * 4 * hidden * hidden, hidden,
                     hidden_panel * tile_columns,
                     at_offset<float>(workspace, at.w_hh) + (d * hidden_panels + hidden_panel) * panel_size);
  }
}

Plan<LstmBackward> plan_lanes(LstmBackward& call, const Selection& selection) {
  const LstmExtents extents = lstm_extents(call);
  const int threads = selection.threads;
  const LstmLanes lanes_of(extents, threads);
  const BackwardWorkspace at(extents, lanes_of, threads);
  if (call.reserve.shape[0] != LstmReserve::bytes(extents))
    throw ShapeError("lstm_backward: reserve: expected {} bytes, got {}", LstmReserve::bytes(extents),
                     call.reserve.shape[0]);
  for (View* view :
       {&call.x, &call.lengths, &call.h0, &call.c0, &call.w_ih, &call.w_hh, &call.b, &call.y, &call.reserve,
        &call.dy, &call.dhn, &call.dcn, &call.dx, &call.dh0, &call.dc0, &call.dw_ih, &call.dw_hh, &call.db})
    if (view->present()) make_plain(*view, Order::row_major);

  return {.workspace_bytes = at.bytes, .run = [=](const LstmBackward& call, Bytes workspace, Stream) {
            const LstmCells cells(extents, call.lengths, at_offset<std::int32_t>(workspace, at.table));
            const BackwardPass pass{.call = call,
                                    .extents = extents,
                                    .valid = cells,
                                    .w_ih = at_offset<float>(workspace, at.w_ih),
                                    .w_hh = at_offset<float>(workspace, at.w_hh),
                                    .gates = at_offset<float>(workspace, at.gates),
                                    .dh = at_offset<float>(workspace, at.dh),
                                    .dc = at_offset<float>(workspace, at.dc),
                                    .cells = at_offset<LstmCell>(workspace, at.cells),
                                    .features = at_offset<float>(workspace, at.features),
                                    .lane_samples = lanes_of.most_samples()};
            dispatch_storage(call.x.type, [&]<class T>() {
              pack_weights<T>(call, extents, at, workspace, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
              for (std::int64_t i = 0; i < lanes_of.count(); ++i) BackwardLane<T>(pass, lanes_of[i], i).run();
              differentiate_inputs<T>(pass, threads);
              differentiate_parameters<T>(pass, threads);
            });
          }};
}

constexpr Variant<LstmBackward> variants[] = {{"lanes", Origin::native, plan_lanes}};

}  // namespace

Plan<LstmBackward> lstm_backward(LstmBackward& call, const Selection& selection) {
  check(call);
  return first_variant<LstmBackward>("lstm_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
