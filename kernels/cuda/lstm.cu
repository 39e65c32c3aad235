/// LSTM: what the inputs bring to all gates is one product before the recurrence, and the gradients of inputs
/// and weights are products behind it. How the recurrence itself goes is the variants' matter.

#include "kernels/lstm.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda/lstm_parts.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

View matrix_of_direction(const View& view, std::int64_t direction, std::int64_t rows, std::int64_t columns) {
  auto* const data = view.as<std::byte>();
  const auto offset = static_cast<std::size_t>(direction * rows * columns) * size_of(view.type);
  return make_view(data ? data + offset : nullptr, view.type, {rows, columns});
}

namespace {

/// Rows of (T, N, columns), zero behind the ends of sequences: what lies there may be NaN.
template <class T>
struct ValidRows {
  static constexpr int vector = full_vector<T>;
  Sequences of;
  std::int64_t columns;
  const T* x;
  T* y;

  template <int N>
  SCRAWL_DEVICE Stored<T, N> load(std::int64_t i) const {
    const auto row = i / columns;
    const int n = static_cast<int>(row % of.samples);
    return row / of.samples < of.length(n) ? load_stored<N>(x + i) : Stored<T, N>{};
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<T, N>& values) const {
    store_stored(y + i, values);
  }
};

/// (T,N,D,H): the h that entered each step, zero behind the ends of sequences.
template <class T>
struct StatesBefore {
  static constexpr int vector = full_vector<T>;
  Sequences of;
  const T *h0, *y;
  T* before;

  template <int N>
  SCRAWL_DEVICE Stored<T, N> load(std::int64_t i) const {
    const auto row = i / of.hidden, sample = row / of.directions;
    const int unit = static_cast<int>(i % of.hidden), direction = static_cast<int>(row % of.directions),
              n = static_cast<int>(sample % of.samples), t = static_cast<int>(sample / of.samples),
              length = of.length(n), s = of.time(t, direction, length);  // its own inverse
    if (s >= length) return {};
    if (s > 0)
      return load_stored<N>(y + of.row(of.time(s - 1, direction, length), n, direction) * of.hidden + unit);
    return h0 ? load_stored<N>(h0 + of.state(direction, n) * of.hidden + unit) : Stored<T, N>{};
  }
  template <int N>
  SCRAWL_DEVICE void store(std::int64_t i, const Stored<T, N>& values) const {
    store_stored(before + i, values);
  }
};

// ---------------------------------------------------------------------------------------------- launchers

/// The gates' input products, of both directions at once.
DenseForward input_product(const LstmForward& c, float* gates) {
  const auto e = lstm_extents(c);
  const auto rows = e.directions * e.gate_rows();
  return {.x = c.x,
          .w = make_view(c.w_ih.data, c.w_ih.type, {rows, e.inputs}),
          .b = make_view(c.b.data, DType::f32, {rows}),
          .y = make_view(gates, DType::f32, {e.steps, e.samples, rows})};
}

/// For products over all steps, whose number is a matter of padding: how their sums are split must not be.
Selection in_one_size(Selection selection) {
  selection.multiprocessors = 0;
  return selection;
}

Plan<LstmForward> around(LstmForward& call, const Selection& selection, const ForwardRecurrence& recurrence) {
  const auto e = lstm_extents(call);
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.hn,
                 call.cn);
  if (call.reserve.present()) call.reserve = make_view(nullptr, DType::u8, {e.reserve_bytes()});
  auto inputs = input_product(call, nullptr);
  const auto product = dense_forward(inputs, in_one_size(selection));
  const auto take = [=](Workspace& workspace, bool keeps) {
    struct {
      float* gates;
      std::byte* scratch;
    } pieces;
    pieces.gates = keeps ? nullptr : workspace.take<float>(e.gates());
    pieces.scratch = workspace.take<std::byte>(
        static_cast<std::int64_t>(std::max(product.workspace_bytes, recurrence.workspace_bytes)));
    return pieces;
  };
  Workspace counted;
  take(counted, call.reserve.present());
  return {.workspace_bytes = counted.bytes(), .run = [=](const LstmForward& c, Bytes bytes, Stream stream) {
            Workspace workspace(bytes);
            const bool keeps = c.reserve.present();
            const auto pieces = take(workspace, keeps);
            float* const gates = keeps ? c.reserve.as<float>() : pieces.gates;
            product.run(input_product(c, gates), {pieces.scratch, product.workspace_bytes}, stream);
            recurrence.run(c, {.gates = gates, .cells = keeps ? gates + e.gates() : nullptr},
                           {pieces.scratch, recurrence.workspace_bytes}, stream);
          }};
}

/// The products behind the recurrence.
struct Products {
  DenseBackwardData inputs;     ///< gives dx
  DenseBackwardWeight weights;  ///< gives dw_ih and db
  Gemm recurrent[2];            ///< give dw_hh, by direction

  /// dgates (T,N,D,4,H); x with zeros, and the states before (T,N,D,H): as x is stored.
  Products(const LstmBackward& c, void* dgates, void* x, void* before) {
    const auto e = lstm_extents(c);
    const auto rows = e.directions * e.gate_rows();
    const auto dy = make_view(dgates, c.x.type, {e.steps, e.samples, rows});
    inputs = {.dy = dy, .w = make_view(c.w_ih.data, c.w_ih.type, {rows, e.inputs}), .dx = c.dx};
    weights = {.x = make_view(x, c.x.type, c.x.shape),
               .dy = dy,
               .dw = make_view(c.dw_ih.data, DType::f32, {rows, e.inputs}),
               .db = make_view(c.db.data, DType::f32, {rows})};
    for (std::int64_t d = 0; d < e.directions; ++d)
      recurrent[d] = {.transpose_a = Transpose::yes,
                      .a = columns_of(dy, d * e.gate_rows(), e.gate_rows()),
                      .b = columns_of(make_view(before, c.x.type, {e.steps, e.samples, e.units()}),
                                      d * e.hidden, e.hidden),
                      .y = matrix_of_direction(c.dw_hh, d, e.gate_rows(), e.hidden)};
  }

 private:
  static View columns_of(const View& rows, std::int64_t first, std::int64_t count) {
    auto* const data = rows.as<std::byte>();
    auto columns = make_view(data ? data + static_cast<std::size_t>(first) * size_of(rows.type) : nullptr,
                             rows.type, {rows.shape[0] * rows.shape[1], count});
    columns.strides[0] = rows.shape[2];
    return columns;
  }
};

template <class T>
void launch_valid_rows(const LstmBackward& c, void* x, Stream stream) {
  const auto columns = c.x.shape[2];
  const ValidRows<T> rows{sequences_of(c), columns, c.x.as<const T>(), static_cast<T*>(x)};
  launch_elementwise("lstm_valid_rows", rows, c.x.shape.count(),
                     is_vector_aligned(c.x.data) && columns % full_vector<T> == 0, stream);
}

template <class T>
void launch_states_before(const LstmBackward& c, void* before, Stream stream) {
  const auto e = lstm_extents(c);
  const StatesBefore<T> states{sequences_of(c), c.h0.as<const T>(), c.y.as<const T>(),
                               static_cast<T*>(before)};
  launch_elementwise("lstm_states_before", states, e.cells(),
                     are_vector_aligned(c.h0, c.y) && e.hidden % full_vector<T> == 0, stream);
}

Plan<LstmBackward> around(LstmBackward& call, const Selection& selection,
                          const BackwardRecurrence& recurrence) {
  const auto e = lstm_extents(call);
  if (call.reserve.shape[0] != e.reserve_bytes())
    throw Refused("needs the reserve of our own forward, {} bytes, got {}", e.reserve_bytes(),
                  call.reserve.shape[0]);
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.reserve,
                 call.dy, call.dhn, call.dcn, call.dx, call.dh0, call.dc0, call.dw_ih, call.dw_hh, call.db);
  Products products(call, nullptr, nullptr, nullptr);
  const auto inputs = dense_backward_data(products.inputs, in_one_size(selection));
  const auto weights = dense_backward_weight(products.weights, in_one_size(selection));
  const auto recurrent = gemm(products.recurrent[0], in_one_size(selection));
  const auto scratch_bytes = std::max({recurrence.workspace_bytes, inputs.workspace_bytes,
                                       weights.workspace_bytes, recurrent.workspace_bytes});
  const auto take = [=](Workspace& workspace, const LstmBackward& c) {
    struct {
      std::byte *dgates, *x, *before, *scratch;
    } pieces;
    const auto each = static_cast<std::int64_t>(size_of(c.x.type));
    pieces.dgates = workspace.take<std::byte>(e.gates() * each);
    pieces.x =
        c.lengths.present() ? workspace.take<std::byte>(c.x.shape.count() * each) : c.x.as<std::byte>();
    pieces.before = workspace.take<std::byte>(e.cells() * each);
    pieces.scratch = workspace.take<std::byte>(static_cast<std::int64_t>(scratch_bytes));
    return pieces;
  };
  Workspace counted;
  take(counted, call);
  return {.workspace_bytes = counted.bytes(), .run = [=](const LstmBackward& c, Bytes bytes, Stream stream) {
            Workspace workspace(bytes);
            const auto pieces = take(workspace, c);
            const Bytes scratch(pieces.scratch, scratch_bytes);
            const auto* const gates = c.reserve.as<const float>();
            recurrence.run(c, {.gates = gates, .cells = gates + e.gates(), .dgates = pieces.dgates}, scratch,
                           stream);
            dispatch_storage(c.x.type, [&]<class T>() {
              if (c.lengths.present()) launch_valid_rows<T>(c, pieces.x, stream);
              launch_states_before<T>(c, pieces.before, stream);
            });
            const Products p(c, pieces.dgates, pieces.x, pieces.before);
            inputs.run(p.inputs, scratch, stream);
            weights.run(p.weights, scratch, stream);
            for (std::int64_t d = 0; d < e.directions; ++d) recurrent.run(p.recurrent[d], scratch, stream);
          }};
}

template <class Call>
Plan<Call> plan_resident(Call& call, const Selection& selection) {
  return around(call, selection, resident(call, selection));
}

template <class Call>
Plan<Call> plan_steps(Call& call, const Selection& selection) {
  return around(call, selection, step_by_step(call, selection));
}

template <class Call>
constexpr Variant<Call> variants[] = {
    {"resident", Origin::native, plan_resident<Call>},
    {"steps", Origin::native, plan_steps<Call>},
};

}  // namespace

Plan<LstmForward> lstm_forward(LstmForward& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<LstmForward>("lstm_forward", variants<LstmForward>, call, selection);
}

Plan<LstmBackward> lstm_backward(LstmBackward& call, const Selection& selection) {
  check(call);
  return first_variant_or_vendor<LstmBackward>("lstm_backward", variants<LstmBackward>, call, selection);
}

}  // namespace SCRAWL_CUDA
