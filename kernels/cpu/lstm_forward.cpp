/// LSTM forward. Each lane takes its samples through all steps without a barrier: for a chunk of steps the
/// input products of all cells at once, then step by step, for each block of hidden units, the recurrent
/// products of its 64 gate columns and the cells that follow from them while they are in L1.

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/lstm_gates.h"
#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/lstm_variants.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

/// Cells whose input products are made together: enough to amortise reading w_ih, few enough for L2.
constexpr std::int64_t chunk_cells = 128;

/// One call's operands and workspace, which all lanes read. Made without a workspace it only counts bytes.
template <class Element>
struct Pass {
  const LstmForward& call;
  const LstmExtents& extents;
  LstmCells valid;
  Element *w_ih, *w_hh;  ///< (D, blocks, K, 64)
  float* b;              ///< (D, blocks, 64)

  Pass(const LstmForward& call, const LstmExtents& extents, Workspace& workspace)
      : call(call), extents(extents), valid(extents, workspace) {
    const std::int64_t columns = extents.directions * extents.blocks() * tile_columns;
    const auto panels = [&](const View& w, std::int64_t depth) {
      return w.layout ? w.as<Element>() : workspace.take<Element>(columns * elements_for<Element>(depth));
    };
    w_ih = panels(call.w_ih, extents.inputs);
    w_hh = panels(call.w_hh, extents.hidden);
    b = workspace.take<float>(columns);
  }
};

/// Panels of weights that are not placed so already, and of the bias.
template <class T, class Element>
void pack(const Pass<Element>& pass, int threads) {
  const auto& [steps, batch, inputs, hidden, directions] = pass.extents;
  const std::int64_t blocks = pass.extents.blocks();
  const auto panel = [&](const View& w, std::int64_t depth, std::int64_t i, Element* panels) {
    if (!w.layout)
      pack_gate_columns(pass.extents, w.as<T>() + i / blocks * 4 * pass.extents.hidden * depth, depth,
                        i % blocks, panels + i * elements_for<Element>(depth) * tile_columns);
  };
  parallel_for(threads, directions * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      panel(pass.call.w_ih, pass.extents.inputs, i, pass.w_ih);
      panel(pass.call.w_hh, pass.extents.hidden, i, pass.w_hh);
    }
  });
  for (std::int64_t d = 0; d < directions; ++d)
    pack_bias(pass.extents, pass.call.b.template as<float>() + d * 4 * hidden,
              pass.b + d * blocks * tile_columns);
}

template <class T>
f32x16 rounded(f32x16 value) {
  T narrow[lanes];
  store(narrow, value);
  return load(narrow);
}

/// One lane's run through its sequences: T in memory, products of Elements.
template <class T, class Element>
class Lane {
 public:
  /// Made without a workspace it only counts bytes.
  Lane(const Pass<Element>& pass, const LstmLane& lane, Workspace& workspace)
      : pass_(pass), call_(pass.call), extents_(pass.extents), lane_(lane) {
    const std::int64_t samples = std::max<std::int64_t>(lane.samples, 1),
                       columns = extents_.blocks() * tile_columns;
    chunk_steps_ = std::max<std::int64_t>(chunk_cells / samples, 1);
    capacity_ = chunk_steps_ * samples;
    for (Value*& h : h_) h = workspace.take<Value>(samples * extents_.padded_hidden());
    c_ = workspace.take<float>(samples * extents_.padded_hidden());
    gates_ = workspace.take<float>(capacity_ * columns);
    inputs_ = workspace.take<Value>(is_f32 ? 0 : capacity_ * padded_inputs());
    cells_ = workspace.take<LstmCell>(capacity_);
  }

  void run() {
    begin();
    for (std::int64_t first = 0; first < extents_.steps; first += chunk_steps_) {
      const std::int64_t last = std::min(first + chunk_steps_, extents_.steps);
      std::int64_t listed = 0;
      for (std::int64_t step = first; step < last; ++step)
        listed += pass_.valid.of_step(lane_, step, cells_ + listed);
      if (listed == 0) break;
      multiply_inputs(listed);
      std::int64_t done = 0;
      for (std::int64_t step = first; step < last; ++step) {
        const std::int64_t count = pass_.valid.count_at(lane_, step);
        run_step(step, done, count);
        done += count;
      }
    }
    finish();
  }

 private:
  using Value = typename Operand<Element>::Value;
  static constexpr bool is_f32 = std::is_same_v<T, float>;
  static constexpr std::int64_t values = Operand<Element>::values;

  std::int64_t padded_inputs() const { return elements_for<Element>(extents_.inputs) * values; }

  int units_from(std::int64_t unit) const {
    return static_cast<int>(std::min<std::int64_t>(lanes, extents_.hidden - unit));
  }
  std::int64_t state_offset(std::int64_t index) const {
    return (lane_.direction * extents_.batch + lane_.first_sample + index) * extents_.hidden;
  }
  const T* x_at(const LstmCell& cell) const {
    return call_.x.as<T>() + (cell.time * extents_.batch + cell.sample) * extents_.inputs;
  }
  T* y_at(std::int64_t time, std::int64_t sample) const {
    const std::int64_t place = time * extents_.batch + sample;
    return call_.y.as<T>() + (place * extents_.directions + lane_.direction) * extents_.hidden;
  }
  float* gates_at(std::int64_t block, std::int64_t cell) const {
    return gates_ + (block * capacity_ + cell) * tile_columns;
  }

  /// The direction's weights, initial states, and zeros in y beyond the sequences.
  void begin() {
    const std::int64_t columns = extents_.blocks() * tile_columns;
    w_ih_ = pass_.w_ih + lane_.direction * columns * elements_for<Element>(extents_.inputs);
    w_hh_ = pass_.w_hh + lane_.direction * columns * elements_for<Element>(extents_.hidden);
    b_ = pass_.b + lane_.direction * columns;
    for (std::int64_t i = 0; i < lane_.samples; ++i) {
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const std::int64_t from = state_offset(i) + unit, to = i * extents_.padded_hidden() + unit;
        const int units = units_from(unit);
        store(h_[0] + to, call_.h0.present() ? load(call_.h0.as<T>() + from, units) : f32x16{});
        store(c_ + to, call_.c0.present() ? load(call_.c0.as<float>() + from, units) : f32x16{});
      }
      const std::int64_t n = lane_.first_sample + i;
      for (std::int64_t t = pass_.valid.length(n); t < extents_.steps; ++t)
        std::fill_n(y_at(t, n), extents_.hidden, T{});
    }
  }

  /// gates = w_ih x + b for the listed cells.
  void multiply_inputs(std::int64_t listed) {
    const std::int64_t inputs = extents_.inputs, padded = padded_inputs(), depth = padded / values;
    if constexpr (!is_f32)
      for (std::int64_t i = 0; i < listed; ++i)
        for (std::int64_t k = 0; k < inputs; k += lanes) {
          const auto present = static_cast<int>(std::min<std::int64_t>(lanes, inputs - k));
          const auto columns = static_cast<int>(std::min<std::int64_t>(lanes, padded - k));
          store(inputs_ + i * padded + k, load(x_at(cells_[i]) + k, present), columns);
        }
    for (std::int64_t block = 0; block < extents_.blocks(); ++block)
      multiply_panel<Element>({.rows = listed,
                               .runs = {1, depth, 0},
                               .panel = w_ih_ + block * depth * tile_columns,
                               .init = b_ + block * tile_columns,
                               .init_stride = 0,
                               .out = gates_at(block, 0)},
                              [&](std::int64_t i) {
                                if constexpr (is_f32)
                                  return x_at(cells_[i]);
                                else
                                  return elements<Element>(inputs_ + i * padded);
                              });
  }

  /// One step, of the `count` cells listed from `first` on.
  void run_step(std::int64_t step, std::int64_t first, std::int64_t count) {
    const std::span cells(cells_ + first, static_cast<std::size_t>(count));
    const Value* before = h_[step % 2];
    const std::int64_t depth = elements_for<Element>(extents_.hidden);
    for (std::int64_t block = 0; block < extents_.blocks(); ++block) {
      float* sums = gates_at(block, first);
      multiply_panel<Element>({.rows = count,
                               .runs = {1, depth, 0},
                               .panel = w_hh_ + block * depth * tile_columns,
                               .init = sums,
                               .init_stride = tile_columns,
                               .out = sums},
                              [&](std::int64_t i) {
                                const auto sample =
                                    cells[static_cast<std::size_t>(i)].sample - lane_.first_sample;
                                return elements<Element>(before + sample * extents_.padded_hidden());
                              });
      update(cells, block, sums, h_[(step + 1) % 2]);
    }
  }

  /// c = f c + i g, h = o tanh(c) for a block of units.
  void update(std::span<const LstmCell> cells, std::int64_t block, const float* sums, Value* h_after) {
    const std::int64_t unit = block * lanes;
    const int units = units_from(unit);
    const bool keeps = call_.reserve.present();
    const LstmReserve reserve(extents_, call_.reserve);
    for (const LstmCell& cell : cells) {
      const f32x16 i = gate_sigmoid(load(sums)), f = gate_sigmoid(load(sums + lanes)),
                   g = gate_tanh(load(sums + 2 * lanes)), o = gate_sigmoid(load(sums + 3 * lanes));
      sums += tile_columns;
      const std::int64_t state = (cell.sample - lane_.first_sample) * extents_.padded_hidden() + unit;
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

  /// Final states.
  void finish() {
    for (std::int64_t i = 0; i < lane_.samples; ++i) {
      const Value* h = h_[pass_.valid.length(lane_.first_sample + i) % 2] + i * extents_.padded_hidden();
      const float* c = c_ + i * extents_.padded_hidden();
      for (std::int64_t unit = 0; unit < extents_.hidden; unit += lanes) {
        const std::int64_t to = state_offset(i) + unit;
        if (call_.hn.present()) store(call_.hn.as<T>() + to, load(h + unit), units_from(unit));
        if (call_.cn.present()) store(call_.cn.as<float>() + to, load(c + unit), units_from(unit));
      }
    }
  }

  const Pass<Element>& pass_;
  const LstmForward& call_;
  const LstmExtents& extents_;
  LstmLane lane_;
  std::int64_t chunk_steps_, capacity_;  ///< of a chunk: steps, most cells
  const Element *w_ih_, *w_hh_;
  const float* b_;
  Value* h_[2];  ///< h before the steps of even and of odd number
  Value* inputs_;
  float *c_, *gates_;
  LstmCell* cells_;
};

/// Runs a call, or counts its workspace only.
template <class T, class Element>
struct Lanes {
  Pass<Element> pass;
  std::vector<Lane<T, Element>> lanes;

  Lanes(const LstmForward& call, const LstmExtents& extents, int threads, Workspace& workspace)
      : pass(call, extents, workspace) {
    for (const auto& lane : lstm_lanes(extents, threads)) lanes.emplace_back(pass, lane, workspace);
  }

  void run(int threads) {
    pass.valid.list(pass.call.lengths);
    pack<T>(pass, threads);
    parallel_for(threads, std::ssize(lanes), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) lanes[static_cast<std::size_t>(i)].run();
    });
  }
};

Plan<LstmForward> plan(LstmForward& call, int threads, Products products) {
  const LstmExtents extents = lstm_extents(call);
  if (extents.inputs == 0) throw Refused("needs inputs, got I = 0");
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.hn,
                 call.cn);
  Workspace need;
  dispatch_products(call.x.type, products, [&]<class T, class Element>() {
    if (call.reserve.present()) {
      call.reserve = make_view(nullptr, DType::u8, {LstmReserve::bytes(extents)});
    } else if constexpr (std::is_same_v<T, typename Operand<Element>::Value>) {
      // Weights that do not change: packed once, by the caller.
      place_as_gate_columns<Element>(call.w_ih, extents);
      place_as_gate_columns<Element>(call.w_hh, extents);
    }
    Lanes<T, Element>(call, extents, threads, need);
  });
  return {.workspace_bytes = need.bytes(), .run = [=](const LstmForward& call, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            dispatch_products(call.x.type, products, [&]<class T, class Element>() {
              Lanes<T, Element>(call, extents, threads, workspace).run(threads);
            });
          }};
}

Plan<LstmForward> plan_pairs(LstmForward& call, const Selection& selection) {
  require_bf16_pairs(call.x.type);
  return plan(call, selection.threads, Products::bf16_pairs);
}

Plan<LstmForward> plan_lanes(LstmForward& call, const Selection& selection) {
  return plan(call, selection.threads, Products::f32);
}

constexpr Variant<LstmForward> variants[] = {{"bf16_pairs", Origin::native, plan_pairs},
                                             {"lanes", Origin::native, plan_lanes},
                                             {"onednn", Origin::vendor, lstm_forward_onednn}};

}  // namespace

Plan<LstmForward> lstm_forward(LstmForward& call, const Selection& selection) {
  check(call);
  return first_variant<LstmForward>("lstm_forward", variants, call, selection);
}

}  // namespace scrawl::cpu
