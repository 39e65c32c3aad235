/// LSTM backward, the recurrence: each lane runs from the last step to the first without a barrier.

#include "kernels/cpu/lstm_backward.h"

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/lstm_gates.h"
#include "kernels/cpu/lstm_variants.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

/// One lane's recurrence: T in memory, products of Elements.
template <class T, class Element>
class Lane {
 public:
  /// Made without a workspace it only counts bytes.
  Lane(const LstmBackwardPass<Element>& pass, const LstmLane& lane, Workspace& workspace)
      : pass_(pass),
        call_(pass.call),
        extents_(pass.extents),
        lane_(lane),
        units_(panels_of(extents_.hidden) * tile_columns),
        reserve_(extents_, call_.reserve),
        dh_(workspace.take<float>(lane.samples * units_)),
        dc_(workspace.take<float>(lane.samples * units_)),
        products_(workspace.take<float>(lane.samples * tile_columns)),
        cells_(workspace.take<LstmCell>(lane.samples)) {}

  void run() {
    begin();
    for (std::int64_t step = extents_.steps - 1; step >= 0; --step) {
      const std::int64_t count = pass_.valid.of_step(lane_, step, cells_);
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
    auto* d_sums = pass_.gates_at(lane_.direction, block, cell.row);
    store(d_sums, dc * g * i * (1.0f - i));
    store(d_sums + lanes, dc * previous_c(cell, block, step) * f * (1.0f - f));
    store(d_sums + 2 * lanes, dc * i * (1.0f - g * g));
    store(d_sums + 3 * lanes, dh * tanh_c * o * (1.0f - o));
    store(dc_ + state, dc * f);
  }

  /// dh of the step before, for the listed cells: w_hh^T times the gates' gradients.
  void multiply_hidden(std::int64_t count) {
    const std::int64_t panels = panels_of(extents_.hidden);
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      multiply_panel<Element>({.rows = count,
                               .runs = pass_.gate_runs(1),
                               .panel = pass_.w_hh + (lane_.direction * panels + panel) * pass_.panel_size(),
                               .init = zero_row,
                               .init_stride = 0,
                               .out = products_},
                              [&](std::int64_t i) {
                                return elements<Element>(pass_.gates_at(lane_.direction, 0, cells_[i].row));
                              });
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

  const LstmBackwardPass<Element>& pass_;
  const LstmBackward& call_;
  const LstmExtents& extents_;
  LstmLane lane_;
  std::int64_t units_;  ///< of a row of dh and dc: whole panels
  LstmReserve reserve_;
  float *dh_, *dc_, *products_;
  LstmCell* cells_;
};

template <class T, class Element>
void pack(const LstmBackwardPass<Element>& pass, int threads) {
  const auto& call = pass.call;
  const auto& extents = pass.extents;
  const std::int64_t hidden = extents.hidden, input_panels = panels_of(extents.inputs),
                     hidden_panels = panels_of(hidden), panels = input_panels + hidden_panels;
  const auto pack_panel = [&](std::int64_t d, std::int64_t panel) {
    const std::int64_t depth = panel < input_panels ? extents.inputs : hidden;
    const View& w = panel < input_panels ? call.w_ih : call.w_hh;
    const std::int64_t of_w = panel < input_panels ? panel : panel - input_panels;
    Element* to = panel < input_panels ? pass.w_ih + (panel * extents.directions + d) * pass.panel_size()
                                       : pass.w_hh + (d * hidden_panels + of_w) * pass.panel_size();
    pack_gate_rows(extents, w.as<T>() + d * 4 * hidden * depth, depth, of_w * tile_columns, to);
  };
  parallel_for(threads, extents.directions * panels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) pack_panel(i / panels, i % panels);
  });
}

Plan<LstmBackward> plan(LstmBackward& call, int threads, Products products) {
  const LstmExtents extents = lstm_extents(call);
  if (extents.inputs == 0) throw Refused("needs inputs, got I = 0");
  if (const auto bytes = LstmReserve::bytes(extents); call.reserve.shape[0] != bytes)
    throw Refused("needs the reserve of our own forward, {} bytes, got {}", bytes, call.reserve.shape[0]);
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.reserve,
                 call.dy, call.dhn, call.dcn, call.dx, call.dh0, call.dc0, call.dw_ih, call.dw_hh, call.db);
  const auto lanes = lstm_lanes(extents, threads);
  Workspace need;
  dispatch_products(call.x.type, products, [&]<class T, class Element>() {
    const LstmBackwardPass<Element> pass(call, extents, need);
    for (const auto& lane : lanes) Lane<T, Element>(pass, lane, need);
    reserve_for_parameters(pass, threads, need);
  });
  return {.workspace_bytes = need.bytes(), .run = [=](const LstmBackward& call, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            dispatch_products(call.x.type, products, [&]<class T, class Element>() {
              LstmBackwardPass<Element> pass(call, extents, workspace);
              pass.valid.list(call.lengths);
              pack<T>(pass, threads);
              std::vector<Lane<T, Element>> runs;
              for (const auto& lane : lanes) runs.emplace_back(pass, lane, workspace);
              parallel_for(threads, std::ssize(runs), 1, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t i = begin; i < end; ++i) runs[static_cast<std::size_t>(i)].run();
              });
              differentiate_inputs<T>(pass, threads);
              differentiate_parameters<T>(pass, threads, workspace);
            });
          }};
}

Plan<LstmBackward> plan_pairs(LstmBackward& call, const Selection& selection) {
  require_bf16_pairs(call.x.type);
  return plan(call, selection.threads, Products::bf16_pairs);
}

Plan<LstmBackward> plan_lanes(LstmBackward& call, const Selection& selection) {
  return plan(call, selection.threads, Products::f32);
}

constexpr Variant<LstmBackward> variants[] = {{"bf16_pairs", Origin::native, plan_pairs},
                                              {"lanes", Origin::native, plan_lanes},
                                              {"onednn", Origin::vendor, lstm_backward_onednn}};

}  // namespace

Plan<LstmBackward> lstm_backward(LstmBackward& call, const Selection& selection) {
  check(call);
  return first_variant<LstmBackward>("lstm_backward", variants, call, selection);
}

}  // namespace scrawl::cpu
