/// LSTM backward, the recurrence: each lane runs from the last step to the first without a barrier.

#include "kernels/cpu/lstm_backward.h"

#include "kernels/check.h"
#include "kernels/cpu/lstm_gates.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

/// A row of dh and dc: whole panels.
std::int64_t padded_units(const LstmExtents& extents) { return panels_of(extents.hidden) * tile_columns; }

/// One lane's places within its part of the workspace.
struct LaneWorkspace {
  std::size_t dh, dc, products, cells, bytes;

  LaneWorkspace(const LstmExtents& extents, std::int64_t samples) {
    WorkspaceLayout layout;
    dh = layout.add<float>(samples * padded_units(extents));
    dc = layout.add<float>(samples * padded_units(extents));
    products = layout.add<float>(samples * tile_columns);
    cells = layout.add<LstmCell>(samples);
    bytes = layout.bytes();
  }
};

template <class T>
class BackwardLane {
 public:
  BackwardLane(const LstmBackwardPass& pass, const LstmLane& lane, Bytes workspace)
      : pass_(pass),
        call_(pass.call),
        extents_(pass.extents),
        lane_(lane),
        units_(padded_units(pass.extents)),
        reserve_(pass.extents, pass.call.reserve) {
    const LaneWorkspace at(extents_, lane.samples);
    dh_ = at_offset<float>(workspace, at.dh);
    dc_ = at_offset<float>(workspace, at.dc);
    products_ = at_offset<float>(workspace, at.products);
    cells_ = at_offset<LstmCell>(workspace, at.cells);
  }

  void run() {
    begin();
    for (std::int64_t step = extents_.steps - 1; step >= 0; --step) {
      std::int64_t count = 0;
      for (std::int64_t n = lane_.first_sample; n < lane_.first_sample + lane_.samples; ++n)
        if (step < pass_.valid.length(n)) cells_[count++] = pass_.valid.at(lane_.direction, step, n);
      for (std::int64_t block = 0; block < extents_.blocks(); ++block)
        for (std::int64_t i = 0; i < count; ++i) differentiate(cells_[i], block, step);
      if (step > 0 || call_.dh0.present()) multiply_hidden(count);
    }
    finish();
  }

 private:
  int units_from(std::int64_t unit) const {
    return static_cast<int>(std::clamp<std::int64_t>(extents_.hidden - unit, 0, lanes));
  }
  std::int64_t state_offset(std::int64_t sample) const {
    return (lane_.direction * extents_.batch + sample) * extents_.hidden;
  }

  /// Gradients of the final states.
  void begin() {
    for (std::int64_t i = 0; i < lane_.samples; ++i)
      for (std::int64_t unit = 0; unit < units_; unit += lanes) {
        const std::int64_t from = state_offset(lane_.first_sample + i) + unit, to = i * units_ + unit;
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
    const std::int64_t before = lane_.direction == 0 ? cell.time - 1 : cell.time + 1;
    return load(reserve_.at(lane_.direction, block, pass_.valid.row(before, cell.sample)) + 4 * lanes);
  }

  /// Gradients of a block's gate sums, and dc of the step before.
  void differentiate(const LstmCell& cell, std::int64_t block, std::int64_t step) {
    const float* kept = reserve_.at(lane_.direction, block, cell.row);
    const f32x16 i = load(kept), f = load(kept + lanes), g = load(kept + 2 * lanes),
                 o = load(kept + 3 * lanes), tanh_c = gate_tanh(load(kept + 4 * lanes));
    const std::int64_t unit = block * lanes, state = (cell.sample - lane_.first_sample) * units_ + unit,
                       place = cell.time * extents_.batch + cell.sample;
    const T* dy = call_.dy.as<T>() + (place * extents_.directions + lane_.direction) * extents_.hidden + unit;
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
    const float* w_hh = at_offset<float>(pass_.workspace, pass_.at.w_hh);
    const std::int64_t panels = panels_of(extents_.hidden);
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      multiply_panel({.rows = count,
                      .runs = pass_.gate_runs(1),
                      .panel = w_hh + (lane_.direction * panels + panel) * pass_.panel_size(),
                      .init = zero_row,
                      .init_stride = 0,
                      .out = products_},
                     [&](std::int64_t i) { return pass_.gates_at(lane_.direction, 0, cells_[i].row); });
      for (std::int64_t i = 0; i < count; ++i)
        std::copy_n(products_ + i * tile_columns, tile_columns,
                    dh_ + (cells_[i].sample - lane_.first_sample) * units_ + panel * tile_columns);
    }
  }

  void finish() {
    for (std::int64_t i = 0; i < lane_.samples; ++i)
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const std::int64_t to = state_offset(lane_.first_sample + i) + unit, from = i * units_ + unit;
        const int units = units_from(unit);
        if (call_.dh0.present()) store(call_.dh0.as<T>() + to, load(dh_ + from), units);
        if (call_.dc0.present()) store(call_.dc0.as<float>() + to, load(dc_ + from), units);
      }
  }

  const LstmBackwardPass& pass_;
  const LstmBackward& call_;
  const LstmExtents& extents_;
  LstmLane lane_;
  std::int64_t units_;
  LstmReserve reserve_;
  float *dh_, *dc_, *products_;
  LstmCell* cells_;
};

/// w_ih as (panels of I, D, gates, 64), w_hh as (D, panels of H, gates, 64).
template <class T>
void pack_weights(const LstmBackwardPass& pass) {
  const auto& call = pass.call;
  const auto [steps, batch, inputs, hidden, directions] = pass.extents;
  const std::int64_t input_panels = panels_of(inputs), hidden_panels = panels_of(hidden);
  float *w_ih = at_offset<float>(pass.workspace, pass.at.w_ih),
        *w_hh = at_offset<float>(pass.workspace, pass.at.w_hh);
#pragma omp parallel for num_threads(pass.threads) schedule(static)
  for (std::int64_t i = 0; i < directions * (input_panels + hidden_panels); ++i) {
    const std::int64_t d = i % directions, panel = i / directions, hidden_panel = panel - input_panels;
    if (hidden_panel < 0)
      pack_gate_rows(pass.extents, call.w_ih.as<T>() + d * 4 * hidden * inputs, inputs, panel * tile_columns,
                     w_ih + i * pass.panel_size());
    else
      pack_gate_rows(pass.extents, call.w_hh.as<T>() + d * 4 * hidden * hidden, hidden,
                     hidden_panel * tile_columns,
                     w_hh + (d * hidden_panels + hidden_panel) * pass.panel_size());
  }
}

Plan<LstmBackward> plan_lanes(LstmBackward& call, const Selection& selection) {
  const LstmExtents extents = lstm_extents(call);
  const int threads = selection.threads;
  if (extents.inputs == 0) throw Refused("needs inputs, got I = 0");
  const LstmLanes lanes_of(extents, threads);
  const LstmBackwardWorkspace at(extents, lanes_of, threads);
  if (call.reserve.shape[0] != LstmReserve::bytes(extents))
    throw ShapeError("lstm_backward: reserve: expected {} bytes, got {}", LstmReserve::bytes(extents),
                     call.reserve.shape[0]);
  for (View* view :
       {&call.x, &call.lengths, &call.h0, &call.c0, &call.w_ih, &call.w_hh, &call.b, &call.y, &call.reserve,
        &call.dy, &call.dhn, &call.dcn, &call.dx, &call.dh0, &call.dc0, &call.dw_ih, &call.dw_hh, &call.db})
    if (view->present()) make_plain(*view, Order::row_major);

  return {.workspace_bytes = at.bytes, .run = [=](const LstmBackward& call, Bytes workspace, Stream) {
            const LstmCells cells(extents, call.lengths, at_offset<std::int32_t>(workspace, at.table));
            const LstmBackwardPass pass{call, extents, cells, at, workspace, threads};
            dispatch_storage(call.x.type, [&]<class T>() {
              pack_weights<T>(pass);
#pragma omp parallel for num_threads(threads) schedule(static)
              for (std::int64_t i = 0; i < lanes_of.count(); ++i) {
                const auto own = workspace.subspan(at.lanes + static_cast<std::size_t>(i) * at.lane_bytes);
                BackwardLane<T>(pass, lanes_of[i], own).run();
              }
              differentiate_inputs<T>(pass);
              differentiate_parameters<T>(pass);
            });
          }};
}

constexpr Variant<LstmBackward> variants[] = {{"lanes", Origin::native, plan_lanes}};

}  // namespace

LstmBackwardWorkspace::LstmBackwardWorkspace(const LstmExtents& extents, const LstmLanes& lanes_of,
                                             int thread_count) {
  const std::int64_t columns = extents.directions * extents.blocks() * tile_columns;
  lane_bytes = LaneWorkspace(extents, lanes_of.most_samples()).bytes;
  WorkspaceLayout layout;
  w_ih = layout.add<float>(columns * panels_of(extents.inputs) * tile_columns);
  w_hh = layout.add<float>(columns * panels_of(extents.hidden) * tile_columns);
  table = layout.add<std::int32_t>(LstmCells::table_size(extents));
  gates = layout.add<float>(columns * LstmBackwardPass::gate_rows(extents));
  lanes = layout.add<std::byte>(lanes_of.count() * static_cast<std::int64_t>(lane_bytes));
  thread_bytes = static_cast<std::size_t>(parameter_gradient_floats(extents)) * sizeof(float);
  threads = layout.add<std::byte>(thread_count * static_cast<std::int64_t>(thread_bytes));
  bytes = layout.bytes();
}

Plan<LstmBackward> lstm_backward(LstmBackward& call, const Selection& selection) {
  check(call);
  return first_variant<LstmBackward>("lstm_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
