/// LSTM step by step: at each, a product with the recurrent weights for each direction, and a kernel for the
/// cells of all. What lies between the steps passes through memory: any size and type, at the price of two
/// launches or three a step.

#include "kernels/cuda/lstm_parts.h"
#include "kernels/cuda/planners.h"

namespace SCRAWL_CUDA {

namespace {

struct Cells {
  static constexpr int threads = 256;
};

/// A lane's cell, of (D,N,H).
struct Cell {
  int direction, n, unit;
  bool is_inside;

  SCRAWL_DEVICE explicit Cell(const Sequences& of) {
    const auto i = std::int64_t{block_index().x} * Cells::threads + thread_index(), rows = i / of.hidden;
    unit = static_cast<int>(i % of.hidden);
    n = static_cast<int>(rows % of.samples);
    is_inside = rows < std::int64_t{of.directions} * of.samples;
    direction = is_inside ? static_cast<int>(rows / of.samples) : 0;
  }
};

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Cells::threads) void begin_steps(ForwardCells<T> cells, T* h, float* c) {
  const Cell own(cells.of);
  if (!own.is_inside) return;
  const auto state = cells.template begin<1>(own.direction, own.n, own.unit, cells.of.length(own.n));
  const auto at = cells.of.state(own.direction, own.n) * cells.of.hidden + own.unit;
  h[at] = from_float<T>(state.h[0]);
  c[at] = state.c[0];
}

/// products (D,N,4,H): what h (D,N,H) brings to the gates.
template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Cells::threads) void step_forward(ForwardCells<T> cells, int s,
                                                               const float* products, T* h, float* c) {
  const Cell own(cells.of);
  if (!own.is_inside) return;
  const int length = cells.of.length(own.n);
  if (s >= length) return cells.template pass<1>(s, own.direction, own.n, own.unit);
  const auto state = cells.of.state(own.direction, own.n), at = state * cells.of.hidden + own.unit;
  auto sums = cells.template load<1>(cells.of.time(s, own.direction, length), own.n, own.direction, own.unit);
#pragma unroll
  for (int gate = 0; gate < Gate::count; ++gate)
    sums.of[gate][0] += products[(state * Gate::count + gate) * cells.of.hidden + own.unit];
  typename ForwardCells<T>::template State<1> own_state{.c = {{c[at]}}};
  cells.step(s, own.direction, own.n, own.unit, length, sums, own_state);
  h[at] = from_float<T>(own_state.h[0]);
  c[at] = own_state.c[0];
}

/// dh (D,N,H): what the gradients of the step behind bring; d (D,N,4,H): those of this one.
template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Cells::threads) void step_backward(BackwardCells<T> cells, int s,
                                                                const float* dh, float* dc, T* d) {
  const Cell own(cells.of);
  if (!own.is_inside) return;
  const int length = cells.of.length(own.n);
  const auto state = cells.of.state(own.direction, own.n), at = state * cells.of.hidden + own.unit;
  GateFloats<1> gradients{};
  if (s < length) {
    const auto kept = cells.template load<1>(s, own.direction, own.n, own.unit, length);
    auto gradient = cells.template begin<1>(own.direction, own.n, own.unit);
    if (s < length - 1) gradient = {{{dh[at]}}, {{dc[at]}}};
    gradients = cells.step(s, own.direction, own.n, own.unit, length, kept, gradient);
    dc[at] = gradient.c[0];
  } else {
    cells.template pass<1>(s, own.direction, own.n, own.unit);
  }
#pragma unroll
  for (int gate = 0; gate < Gate::count; ++gate)
    d[(state * Gate::count + gate) * cells.of.hidden + own.unit] = from_float<T>(gradients.of[gate][0]);
}

template <class T>
SCRAWL_KERNEL SCRAWL_THREADS(Cells::threads) void end_steps(BackwardCells<T> cells, const float* dh,
                                                            const float* dc) {
  const Cell own(cells.of);
  if (!own.is_inside) return;
  const auto at = cells.of.state(own.direction, own.n) * cells.of.hidden + own.unit;
  auto gradient = cells.template begin<1>(own.direction, own.n, own.unit);
  if (cells.of.length(own.n) > 0) gradient = {{{dh[at]}}, {{dc[at]}}};
  cells.end(own.direction, own.n, own.unit, gradient);
}

// ---------------------------------------------------------------------------------------------- launchers

Launch launch_of(std::string_view kernel, const LstmExtents& e, Stream stream) {
  return {.kernel = kernel,
          .blocks = {blocks_for(e.states(), Cells::threads)},
          .threads = Cells::threads,
          .stream = stream};
}

/// What passes from step to step: rows (D,N,...) that are multiplied, what the products give, and c or its
/// gradient.
struct States {
  std::byte* factors;
  float *products, *c;
  Bytes scratch;
};

/// Of a unit: `factors` elements, `products` numbers.
struct StateSizes {
  std::int64_t factors, products;
  DType type;

  States take(Workspace& workspace, const LstmExtents& e, std::size_t scratch_bytes) const {
    States states;
    states.factors =
        workspace.take<std::byte>(e.states() * factors * static_cast<std::int64_t>(size_of(type)));
    states.products = workspace.take<float>(e.states() * products);
    states.c = workspace.take<float>(e.states());
    states.scratch = {workspace.take<std::byte>(static_cast<std::int64_t>(scratch_bytes)), scratch_bytes};
    return states;
  }
};

/// h w_hh^T of a direction.
Gemm product_of(const LstmForward& c, const LstmExtents& e, const States& states, std::int64_t d) {
  const auto n = e.samples, h = e.hidden;
  return {.transpose_b = Transpose::yes,
          .a = matrix_of_direction(make_view(states.factors, c.x.type, {e.directions, n, h}), d, n, h),
          .b = matrix_of_direction(c.w_hh, d, e.gate_rows(), h),
          .y = matrix_of_direction(make_view(states.products, DType::f32, {e.directions, n, e.gate_rows()}),
                                   d, n, e.gate_rows())};
}

/// The gates' gradients w_hh of a direction.
Gemm product_of(const LstmBackward& c, const LstmExtents& e, const States& states, std::int64_t d) {
  const auto n = e.samples, h = e.hidden;
  return {.a = matrix_of_direction(make_view(states.factors, c.x.type, {e.directions, n, e.gate_rows()}), d,
                                   n, e.gate_rows()),
          .b = matrix_of_direction(c.w_hh, d, e.gate_rows(), h),
          .y = matrix_of_direction(make_view(states.products, DType::f32, {e.directions, n, h}), d, n, h)};
}

/// Plans `run(call, cells, states, multiply, stream)`; multiply() does the products of a step.
template <class Cells, class Call, class F>
Recurrence<Call, Cells> plan_steps(const Call& call, const Selection& selection, std::int64_t factors,
                                   std::int64_t products, F run) {
  const auto e = lstm_extents(call);
  auto first = product_of(call, e, {}, 0);
  const auto product = gemm(first, selection);
  const StateSizes sizes{factors, products, call.x.type};
  Workspace counted;
  sizes.take(counted, e, product.workspace_bytes);
  return {.workspace_bytes = counted.bytes(),
          .run = [=](const Call& c, const Cells& cells, Bytes bytes, Stream stream) {
            Workspace workspace(bytes);
            const auto states = sizes.take(workspace, e, product.workspace_bytes);
            const auto multiply = [&] {
              for (std::int64_t d = 0; d < e.directions; ++d)
                product.run(product_of(c, e, states, d), states.scratch, stream);
            };
            dispatch_storage(c.x.type,
                             [&]<class T>() { run(e, cells_of<T>(c, cells), states, multiply, stream); });
          }};
}

}  // namespace

ForwardRecurrence step_by_step(const LstmForward& call, const Selection& selection) {
  return plan_steps<LstmSums>(
      call, selection, 1, Gate::count,
      []<class T>(const LstmExtents& e, const ForwardCells<T>& cells, const States& states,
                  const auto& multiply, Stream stream) {
        auto* const h = reinterpret_cast<T*>(states.factors);
        launch(launch_of("lstm_begin", e, stream), begin_steps<T>, cells, h, states.c);
        for (int s = 0; s < cells.of.steps; ++s) {
          multiply();
          launch(launch_of("lstm_step", e, stream), step_forward<T>, cells, s, states.products, h, states.c);
        }
      });
}

BackwardRecurrence step_by_step(const LstmBackward& call, const Selection& selection) {
  return plan_steps<LstmGradients>(call, selection, Gate::count, 1,
                                   []<class T>(const LstmExtents& e, const BackwardCells<T>& cells,
                                               const States& states, const auto& multiply, Stream stream) {
                                     auto* const d = reinterpret_cast<T*>(states.factors);
                                     for (int s = cells.of.steps - 1; s >= 0; --s) {
                                       launch(launch_of("lstm_step_backward", e, stream), step_backward<T>,
                                              cells, s, states.products, states.c, d);
                                       multiply();
                                     }
                                     launch(launch_of("lstm_end_backward", e, stream), end_steps<T>, cells,
                                            states.products, states.c);
                                   });
}

}  // namespace SCRAWL_CUDA
