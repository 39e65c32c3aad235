/// LSTM forward by oneDNN, for training and for inference.

#include <algorithm>

#include "kernels/cpu/lstm_onednn.h"
#include "kernels/cpu/lstm_variants.h"

namespace scrawl::cpu {

using namespace lstm_onednn;

namespace {

struct Forward {
  Problem problem;
  int threads;
  Weights w_ih, w_hh;
  std::shared_ptr<Primitive> lstm;
  std::size_t kept_bytes;
};

template <class T>
struct ForwardMemory {
  Inputs<T> in;
  T* y;
  Bytes scratchpad;

  ForwardMemory(const Forward& f, Workspace& workspace)
      : in(f.problem, f.w_ih, f.w_hh, workspace), y(workspace.take<T>(f.problem.cells() * f.problem.hidden)) {
    const std::size_t bytes =
        std::max({f.lstm->workspace_bytes(), f.w_ih.move->workspace_bytes(), f.w_hh.move->workspace_bytes()});
    scratchpad = {workspace.take<std::byte>(static_cast<std::int64_t>(bytes)), bytes};
  }
};

template <class T>
void run_forward(const Forward& f, const LstmForward& call, Bytes bytes) {
  const Problem& p = f.problem;
  Workspace workspace(bytes);
  const ForwardMemory<T> memory(f, workspace);
  Workspace reserve = call.reserve.present() ? Workspace(bytes_of_reserve(call.reserve)) : workspace;
  const Sequences sequences(p, call.lengths, f.threads);
  for (std::int64_t d = 0; d < p.directions; ++d) {
    const Kept<T> kept(p, f.kept_bytes, reserve);
    memory.in.gather(call, p, sequences, d);
    memory.in.place(call, p, f.w_ih, f.w_hh, d, memory.scratchpad);
    T* const h0 = part<T>(call.h0, d, p.states(), memory.in.zeros);
    float* const c0 = part<float>(call.c0, d, p.states(), memory.in.zeros);
    float* const b = call.b.as<float>() + d * gates * p.hidden;
    if (call.reserve.present())
      f.lstm->run({memory.in.x, h0, c0, memory.in.w_ih, memory.in.w_hh, b, memory.y, kept.hn, kept.cn,
                   kept.workspace},
                  memory.scratchpad);
    else
      f.lstm->run({memory.in.x, h0, c0, memory.in.w_ih, memory.in.w_hh, b, memory.y, kept.hn, kept.cn},
                  memory.scratchpad);
    sequences.each([&](std::int64_t time, std::int64_t sample, std::int64_t cell) {
      T* const to = call.y.as<T>() + (cell * p.directions + d) * p.hidden;
      if (time < sequences.length(sample))
        copy_row(memory.y + sequences.source(d, time, sample) * p.hidden, to, p.hidden);
      else
        std::fill_n(to, p.hidden, T{});
    });
    for (std::int64_t n = 0; n < p.batch; ++n) {
      const auto length = sequences.length(n), state = (d * p.batch + n) * p.hidden;
      const T* const h = length ? memory.y + ((length - 1) * p.batch + n) * p.hidden : h0 + n * p.hidden;
      const float* const c = (length ? kept.cn : c0) + n * p.hidden;
      if (call.hn.present()) copy_row(h, call.hn.as<T>() + state, p.hidden);
      if (call.cn.present()) copy_row(c, call.cn.as<float>() + state, p.hidden);
    }
  }
}

}  // namespace

Plan<LstmForward> lstm_forward_onednn(LstmForward& call, const Selection& selection) {
  const Problem problem = problem_of(call);
  const bool trains = call.reserve.present();
  const auto phase = trains ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const int threads = selection.threads;
  const auto lstm = describe_forward({problem, onednn_type(call.x.type)}, phase, threads);
  std::vector<Primitive::Operand> operands{
      {DNNL_ARG_SRC_LAYER, lstm.src_layer_desc()},       {DNNL_ARG_SRC_ITER, lstm.src_iter_desc()},
      {DNNL_ARG_SRC_ITER_C, lstm.src_iter_c_desc()},     {DNNL_ARG_WEIGHTS_LAYER, lstm.weights_layer_desc()},
      {DNNL_ARG_WEIGHTS_ITER, lstm.weights_iter_desc()}, {DNNL_ARG_BIAS, lstm.bias_desc()},
      {DNNL_ARG_DST_LAYER, lstm.dst_layer_desc()},       {DNNL_ARG_DST_ITER, lstm.dst_iter_desc()},
      {DNNL_ARG_DST_ITER_C, lstm.dst_iter_c_desc()}};
  if (trains) operands.push_back({DNNL_ARG_WORKSPACE, lstm.workspace_desc()});
  const Forward forward{.problem = problem,
                        .threads = threads,
                        .w_ih = Weights::placed(lstm.weights_layer_desc(), threads),
                        .w_hh = Weights::placed(lstm.weights_iter_desc(), threads),
                        .lstm = make_primitive<dnnl::lstm_forward>(lstm, std::move(operands), threads),
                        .kept_bytes = lstm.workspace_desc().get_size()};
  make_row_major(call.x, call.lengths, call.h0, call.c0, call.w_ih, call.w_hh, call.b, call.y, call.hn,
                 call.cn);
  return dispatch(call.x.type, [&]<class T>() -> Plan<LstmForward> {
    const auto kept = reserve_bytes<T>(problem, forward.kept_bytes);
    if (trains) call.reserve = make_view(nullptr, DType::u8, {kept});
    return {
        .workspace_bytes =
            memory_bytes<T, ForwardMemory>(forward) + (trains ? 0 : static_cast<std::size_t>(kept)),
        .run = [forward](const LstmForward& c, Bytes bytes, Stream) { run_forward<T>(forward, c, bytes); }};
  });
}

}  // namespace scrawl::cpu
