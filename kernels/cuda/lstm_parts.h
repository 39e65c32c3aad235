#pragma once
/// What the LSTM's variants have in common: extents, and how a recurrence stands between the products of all
/// steps at once (lstm.cu). The reserve is the same for all: i f g o (T,N,D,4,H), then c (T,N,D,H), in f32.

#include <functional>

#include "kernels/cuda/lstm_cell.h"
#include "kernels/lstm.h"
#include "kernels/plan.h"
#include "kernels/workspace.h"

namespace SCRAWL_CUDA {

/// Of a call that has passed its check.
struct LstmExtents {
  std::int64_t steps, samples, inputs, directions, hidden;

  std::int64_t units() const { return directions * hidden; }       ///< of a row (t, n)
  std::int64_t states() const { return samples * units(); }        ///< (D,N,H)
  std::int64_t cells() const { return steps * states(); }          ///< (T,N,D,H)
  std::int64_t gates() const { return Gate::count * cells(); }     ///< (T,N,D,4,H)
  std::int64_t gate_rows() const { return Gate::count * hidden; }  ///< of one direction's weights
  std::int64_t reserve_bytes() const {
    return (gates() + cells()) * static_cast<std::int64_t>(sizeof(float));
  }
};

template <class Call>
LstmExtents lstm_extents(const Call& call) {
  const Shape &x = call.x.shape, &w_hh = call.w_hh.shape;
  return {.steps = x[0], .samples = x[1], .inputs = x[2], .directions = w_hh[0], .hidden = w_hh[2]};
}

template <class Call>
Sequences sequences_of(const Call& call) {
  const auto e = lstm_extents(call);
  return {.steps = static_cast<int>(e.steps),
          .samples = static_cast<int>(e.samples),
          .directions = static_cast<int>(e.directions),
          .hidden = static_cast<int>(e.hidden),
          .lengths = call.lengths.template as<const std::int32_t>()};
}

/// `rows` x `columns` of what a view of (D, ...) has of one direction.
View matrix_of_direction(const View&, std::int64_t direction, std::int64_t rows, std::int64_t columns);

/// Forward takes the sums that the inputs bring to the gates from `gates`. If `cells` are kept, it leaves the
/// reserve in both.
struct LstmSums {
  float* gates;  ///< (T,N,D,4,H)
  float* cells;  ///< (T,N,D,H), or null
};

template <class T>
ForwardCells<T> cells_of(const LstmForward& c, const LstmSums& sums) {
  return {.of = sequences_of(c),
          .h0 = c.h0.as<const T>(),
          .c0 = c.c0.as<const float>(),
          .gates = sums.gates,
          .cells = sums.cells,
          .y = c.y.as<T>(),
          .hn = c.hn.as<T>(),
          .cn = c.cn.as<float>()};
}

/// Backward leaves the gradients of the gates' sums, (T,N,D,4,H) like x, in `dgates`.
struct LstmGradients {
  const float *gates, *cells;
  void* dgates;
};

template <class T>
BackwardCells<T> cells_of(const LstmBackward& c, const LstmGradients& gradients) {
  return {.of = sequences_of(c),
          .c0 = c.c0.as<const float>(),
          .gates = gradients.gates,
          .cells = gradients.cells,
          .dy = c.dy.as<const T>(),
          .dhn = c.dhn.as<const T>(),
          .dcn = c.dcn.as<const float>(),
          .dgates = static_cast<T*>(gradients.dgates),
          .dh0 = c.dh0.as<T>(),
          .dc0 = c.dc0.as<float>()};
}

/// One way through the steps.
template <class Call, class Cells>
struct Recurrence {
  std::size_t workspace_bytes = 0;
  std::function<void(const Call&, const Cells&, Bytes workspace, Stream)> run;
};
using ForwardRecurrence = Recurrence<LstmForward, LstmSums>;
using BackwardRecurrence = Recurrence<LstmBackward, LstmGradients>;

/// One kernel for all steps, on tensor cores. Refuses types and sizes. lstm_resident.cu
ForwardRecurrence resident(const LstmForward&, const Selection&);
BackwardRecurrence resident(const LstmBackward&, const Selection&);

/// A product and a kernel for the cells at each step: any size and type. lstm_steps.cu
ForwardRecurrence step_by_step(const LstmForward&, const Selection&);
BackwardRecurrence step_by_step(const LstmBackward&, const Selection&);

}  // namespace SCRAWL_CUDA
