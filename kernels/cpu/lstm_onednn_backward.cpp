/// LSTM backward by oneDNN, from what its forward left in the reserve.

#include <algorithm>
#include <cstring>

#include "kernels/cpu/lstm_onednn.h"
#include "kernels/cpu/lstm_variants.h"

namespace scrawl::cpu {

using namespace lstm_onednn;

namespace {

struct Backward {
  Problem problem;
  int threads;
  Weights w_ih, w_hh, dw_ih, dw_hh;
  std::shared_ptr<Primitive> lstm;
  std::size_t kept_bytes;
};

template <class T>
struct BackwardMemory {
  Inputs<T> in;
  T* y;
  float *dx[2], *dy, *dh0, *dc0, *rows;
  std::byte *dw_ih, *dw_hh, *kept;  ///< kept: a copy, as oneDNN's backward writes to its workspace too
  Bytes scratchpad;

  BackwardMemory(const Backward& b, Workspace& workspace) : in(b.problem, b.w_ih, b.w_hh, workspace) {
    const Problem& p = b.problem;
    y = workspace.take<T>(p.cells() * p.hidden);
    for (std::int64_t d = 0; d < 2; ++d)
      dx[d] = workspace.take<float>(d < p.directions ? p.cells() * p.columns() : 0);
    dy = workspace.take<float>(p.cells() * p.hidden);
    dh0 = workspace.take<float>(p.states());
    dc0 = workspace.take<float>(p.states());
    rows = workspace.take<float>(p.is_padded ? gates * p.hidden * p.columns() : 0);
    dw_ih = workspace.take<std::byte>(b.dw_ih.bytes);
    dw_hh = workspace.take<std::byte>(b.dw_hh.bytes);
    kept = workspace.take<std::byte>(static_cast<std::int64_t>(b.kept_bytes));
    std::size_t bytes = b.lstm->workspace_bytes();
    for (const Weights* w : {&b.w_ih, &b.w_hh, &b.dw_ih, &b.dw_hh})
      bytes = std::max(bytes, w->move->workspace_bytes());
    scratchpad = {workspace.take<std::byte>(static_cast<std::int64_t>(bytes)), bytes};
  }
};

/// y and dy in the direction's order; dhn meets h after a sequence's last step.
template <class T>
void gather_outputs(const LstmBackward& call, const BackwardMemory<T>& memory, const Problem& p,
                    const Sequences& sequences, std::int64_t d) {
  sequences.each([&](std::int64_t step, std::int64_t sample, std::int64_t cell) {
    const auto length = sequences.length(sample);
    T* const y = memory.y + cell * p.hidden;
    float* const dy = memory.dy + cell * p.hidden;
    if (step >= length) {
      std::fill_n(y, p.hidden, T{});
      std::fill_n(dy, p.hidden, 0.0f);
      return;
    }
    const auto from = (sequences.source(d, step, sample) * p.directions + d) * p.hidden;
    copy_row(call.y.as<T>() + from, y, p.hidden);
    copy_row(call.dy.as<T>() + from, dy, p.hidden);
    if (step + 1 < length || !call.dhn.present()) return;
    const T* const dhn = call.dhn.as<T>() + (d * p.batch + sample) * p.hidden;
    for (std::int64_t j = 0; j < p.hidden; ++j) dy[j] += static_cast<float>(dhn[j]);
  });
}

/// dw, db of a direction, which oneDNN adds to what is there.
template <class T>
void take_weights(const Backward& b, const LstmBackward& call, const BackwardMemory<T>& memory,
                  std::int64_t d) {
  const Problem& p = b.problem;
  float* const dw_ih = call.dw_ih.as<float>() + d * gates * p.hidden * p.inputs;
  float* const rows = p.is_padded ? memory.rows : dw_ih;
  b.dw_ih.move->run({memory.dw_ih, rows}, memory.scratchpad);
  b.dw_hh.move->run({memory.dw_hh, call.dw_hh.as<float>() + d * gates * p.hidden * p.hidden},
                    memory.scratchpad);
  if (p.is_padded)
    for (std::int64_t row = 0; row < gates * p.hidden; ++row)
      copy_row(rows + row * p.columns(), dw_ih + row * p.inputs, p.inputs);
}

/// dh0, dc0 of a direction. Those of an empty sequence are dhn, dcn.
template <class T>
void take_states(const LstmBackward& call, const BackwardMemory<T>& memory, const Problem& p,
                 const Sequences& sequences, std::int64_t d) {
  const T* const dhn = part<T>(call.dhn, d, p.states(), memory.in.zeros);
  const float* const dcn = part<float>(call.dcn, d, p.states(), memory.in.zeros);
  for (std::int64_t n = 0; n < p.batch; ++n) {
    const auto from = n * p.hidden, to = d * p.states() + from;
    const bool is_empty = sequences.length(n) == 0;
    if (call.dc0.present())
      copy_row((is_empty ? dcn : memory.dc0) + from, call.dc0.as<float>() + to, p.hidden);
    if (!call.dh0.present()) continue;
    if (is_empty)
      copy_row(dhn + from, call.dh0.as<T>() + to, p.hidden);
    else
      copy_row(memory.dh0 + from, call.dh0.as<T>() + to, p.hidden);
  }
}

template <class T>
void run_backward(const Backward& b, const LstmBackward& call, Bytes bytes) {
  const Problem& p = b.problem;
  Workspace workspace(bytes), reserve(bytes_of_reserve(call.reserve));
  const BackwardMemory<T> memory(b, workspace);
  const Sequences sequences(p, call.lengths, b.threads);
  void* const zeros = memory.in.zeros;
  for (std::int64_t d = 0; d < p.directions; ++d) {
    const Kept<T> kept(p, b.kept_bytes, reserve);
    memory.in.gather(call, p, sequences, d);
    memory.in.place(call, p, b.w_ih, b.w_hh, d, memory.scratchpad);
    gather_outputs(call, memory, p, sequences, d);
    float* const db = call.db.as<float>() + d * gates * p.hidden;
    std::memset(memory.dw_ih, 0, static_cast<std::size_t>(b.dw_ih.bytes));
    std::memset(memory.dw_hh, 0, static_cast<std::size_t>(b.dw_hh.bytes));
    std::fill_n(db, gates * p.hidden, 0.0f);
    parallel_for(b.threads, static_cast<std::int64_t>(b.kept_bytes), 1 << 16,
                 [&](std::int64_t begin, std::int64_t end) {
                   std::copy(kept.workspace + begin, kept.workspace + end, memory.kept + begin);
                 });
    b.lstm->run(
        {memory.in.x, part<T>(call.h0, d, p.states(), zeros), part<float>(call.c0, d, p.states(), zeros),
         memory.in.w_ih, memory.in.w_hh, call.b.as<float>() + d * gates * p.hidden, memory.y, kept.hn,
         kept.cn, memory.kept, memory.dy, zeros, part<float>(call.dcn, d, p.states(), zeros), memory.dx[d],
         memory.dh0, memory.dc0, memory.dw_ih, memory.dw_hh, db},
        memory.scratchpad);
    take_weights(b, call, memory, d);
    take_states(call, memory, p, sequences, d);
  }
  sequences.each([&](std::int64_t time, std::int64_t sample, std::int64_t cell) {
    T* const dx = call.dx.as<T>() + cell * p.inputs;
    if (time >= sequences.length(sample)) return void(std::fill_n(dx, p.inputs, T{}));
    const float* const first = memory.dx[0] + cell * p.columns();
    if (p.directions == 1) return copy_row(first, dx, p.inputs);
    const float* const second = memory.dx[1] + sequences.source(1, time, sample) * p.columns();
    for (std::int64_t i = 0; i < p.inputs; ++i) dx[i] = T(first[i] + second[i]);
  });
}

}  // namespace

Plan<LstmBackward> lstm_backward_onednn(LstmBackward& call, const Selection& selection) {
  const Problem problem = problem_of(call);
  const int threads = selection.threads;
  const Descriptors of(problem, onednn_type(call.x.type)), d(problem, memory::data_type::f32);
  const auto forward = describe_forward(of, dnnl::prop_kind::forward_training, threads);
  const auto lstm = describe_primitive(threads, [&] {
    return dnnl::lstm_backward::primitive_desc({dnnl::prop_kind::backward,
                                                left_to_right,
                                                of.x,
                                                of.h,
                                                of.c,
                                                of.w_ih,
                                                of.w_hh,
                                                of.b,
                                                of.y,
                                                of.h,
                                                of.c,
                                                d.x,
                                                d.h,
                                                d.c,
                                                d.w_ih,
                                                d.w_hh,
                                                d.b,
                                                d.y,
                                                d.h,
                                                d.c},
                                               attributes(), engine(), forward);
  });
  const auto kept_bytes = lstm.workspace_desc().get_size();
  const auto expected =
      dispatch(call.x.type, [&]<class T>() { return reserve_bytes<T>(problem, kept_bytes); });
  if (call.reserve.shape[0] != expected)
    throw Refused("needs the reserve of oneDNN's forward, {} bytes, got {}", expected, call.reserve.shape[0]);
  const Backward backward{.problem = problem,
                          .threads = threads,
                          .w_ih = Weights::placed(lstm.weights_layer_desc(), threads),
                          .w_hh = Weights::placed(lstm.weights_iter_desc(), threads),
                          .dw_ih = Weights::taken(lstm.diff_weights_layer_desc(), threads),
                          .dw_hh = Weights::taken(lstm.diff_weights_iter_desc(), threads),
                          .lstm = make_primitive<dnnl::lstm_backward>(
                              lstm,
                              {{DNNL_ARG_SRC_LAYER, lstm.src_layer_desc()},
                               {DNNL_ARG_SRC_ITER, lstm.src_iter_desc()},
                               {DNNL_ARG_SRC_ITER_C, lstm.src_iter_c_desc()},
                               {DNNL_ARG_WEIGHTS_LAYER, lstm.weights_layer_desc()},
                               {DNNL_ARG_WEIGHTS_ITER, lstm.weights_iter_desc()},
                               {DNNL_ARG_BIAS, lstm.bias_desc()},
                               {DNNL_ARG_DST_LAYER, lstm.dst_layer_desc()},
                               {DNNL_ARG_DST_ITER, lstm.dst_iter_desc()},
                               {DNNL_ARG_DST_ITER_C, lstm.dst_iter_c_desc()},
                               {DNNL_ARG_WORKSPACE, lstm.workspace_desc()},
                               {DNNL_ARG_DIFF_DST_LAYER, lstm.diff_dst_layer_desc()},
                               {DNNL_ARG_DIFF_DST_ITER, lstm.diff_dst_iter_desc()},
                               {DNNL_ARG_DIFF_DST_ITER_C, lstm.diff_dst_iter_c_desc()},
                               {DNNL_ARG_DIFF_SRC_LAYER, lstm.diff_src_layer_desc()},
                               {DNNL_ARG_DIFF_SRC_ITER, lstm.diff_src_iter_desc()},
                               {DNNL_ARG_DIFF_SRC_ITER_C, lstm.diff_src_iter_c_desc()},
                               {DNNL_ARG_DIFF_WEIGHTS_LAYER, lstm.diff_weights_layer_desc()},
                               {DNNL_ARG_DIFF_WEIGHTS_ITER, lstm.diff_weights_iter_desc()},
                               {DNNL_ARG_DIFF_BIAS, lstm.diff_bias_desc()}},
                              threads),
                          .kept_bytes = kept_bytes};
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.reserve,
                 call.dy, call.dhn, call.dcn, call.dx, call.dh0, call.dc0, call.dw_ih, call.dw_hh, call.db);
  return dispatch(call.x.type, [&]<class T>() -> Plan<LstmBackward> {
    return {.workspace_bytes = memory_bytes<T, BackwardMemory>(backward),
            .run = [backward](const LstmBackward& c, Bytes bytes, Stream) {
              run_backward<T>(backward, c, bytes);
            }};
  });
}

}  // namespace scrawl::cpu
