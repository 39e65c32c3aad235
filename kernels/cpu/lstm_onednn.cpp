/// LSTM by oneDNN, which knows no lengths: each direction is a pass from left to right over sequences
/// gathered in its order, with padding at their end. Where there are lengths, x has one column more, 1 in
/// padding, whose weights close the input gates and open the forget gates: c stays as the sequence left it,
/// and gradients pass through it unchanged.

#include "kernels/cpu/dense.h"
#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/lstm_variants.h"
#include "kernels/cpu/onednn.h"

namespace scrawl::cpu {
namespace {

using dnnl::memory;

constexpr auto left_to_right = dnnl::rnn_direction::unidirectional_left2right;
constexpr std::int64_t gates = 4;
constexpr float saturating = 1e30f;  ///< beside it any sum of a gate rounds away

struct Problem : LstmExtents {
  bool is_padded;  ///< has lengths

  std::int64_t columns() const { return inputs + (is_padded ? 1 : 0); }
  std::int64_t states() const { return batch * hidden; }  ///< of one direction
};

template <class Call>
Problem problem_of(const Call& call) {
  const Problem p{lstm_extents(call), call.lengths.present()};
  if (call.x.type == DType::f16) throw Refused("needs f32 or bf16, got f16");
  if (p.cells() == 0) throw Refused("needs cells, got T = {} and N = {}", p.steps, p.batch);
  if (p.inputs == 0) throw Refused("needs inputs, got I = 0");
  return p;
}

/// One direction's operands, or their gradients. Weights lie as oneDNN likes best.
struct Descriptors {
  memory::desc x, y, h, c, w_ih, w_hh, b;

  Descriptors(const Problem& p, memory::data_type type)
      : x({p.steps, p.batch, p.columns()}, type, memory::format_tag::tnc),
        y({p.steps, p.batch, p.hidden}, type, memory::format_tag::tnc),
        h({1, 1, p.batch, p.hidden}, type, memory::format_tag::ldnc),
        c({1, 1, p.batch, p.hidden}, memory::data_type::f32, memory::format_tag::ldnc),
        w_ih({1, 1, p.columns(), gates, p.hidden}, type, memory::format_tag::any),
        w_hh({1, 1, p.hidden, gates, p.hidden}, type, memory::format_tag::any),
        b({1, 1, gates, p.hidden}, memory::data_type::f32, memory::format_tag::ldgo) {}
};

dnnl::lstm_forward::primitive_desc describe_forward(const Descriptors& of, dnnl::prop_kind phase,
                                                    int threads) {
  return describe_primitive(threads, [&] {
    return dnnl::lstm_forward::primitive_desc(
        {phase, left_to_right, of.x, of.h, of.c, of.w_ih, of.w_hh, of.b, of.y, of.h, of.c}, attributes(),
        engine());
  });
}

/// One direction's weights between the contract's rows (4H, K) and a placement of oneDNN's.
struct Weights {
  std::shared_ptr<Primitive> move;
  std::int64_t bytes;  ///< as placed

  static Weights placed(const memory::desc& to, int threads) {
    return {reorder(rows(to), to, threads), size(to)};
  }
  static Weights taken(const memory::desc& from, int threads) {
    return {reorder(from, rows(from), threads), size(from)};
  }

 private:
  static std::int64_t size(const memory::desc& desc) { return static_cast<std::int64_t>(desc.get_size()); }
  static memory::desc rows(const memory::desc& of) {
    return {of.dims(), of.data_type(), memory::format_tag::ldgoi};
  }
  static std::shared_ptr<Primitive> reorder(const memory::desc& from, const memory::desc& to, int threads) {
    const auto description = describe_primitive(
        threads, [&] { return dnnl::reorder::primitive_desc(engine(), from, engine(), to, attributes()); });
    return make_primitive<dnnl::reorder>(description, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, threads);
  }
};

/// A call's sequences in each direction's order.
class Sequences {
 public:
  Sequences(const Problem& problem, const View& lengths, int threads)
      : problem_(problem), lengths_(lengths.as<const std::int32_t>()), threads_(threads) {}

  std::int64_t length(std::int64_t sample) const {
    return lengths_ ? std::clamp<std::int64_t>(lengths_[sample], 0, problem_.steps) : problem_.steps;
  }
  /// Of step `time` of a sequence its place in a direction's order, and back.
  std::int64_t turned(std::int64_t direction, std::int64_t time, std::int64_t sample) const {
    return direction == 0 ? time : length(sample) - 1 - time;
  }
  /// Calls f(step, sample, cell), cell = step N + sample; steps beyond the sequence included.
  template <class F>
  void each(F&& f) const {
    parallel_for(threads_, problem_.cells(), 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t cell = begin; cell < end; ++cell)
        f(cell / problem_.batch, cell % problem_.batch, cell);
    });
  }
  /// Where a direction's step lies in the call's tensors, in cells.
  std::int64_t source(std::int64_t direction, std::int64_t step, std::int64_t sample) const {
    return turned(direction, step, sample) * problem_.batch + sample;
  }

 private:
  const Problem& problem_;
  const std::int32_t* lengths_;
  int threads_;
};

template <class From, class To>
void copy_row(const From* from, To* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes) {
    const auto part = static_cast<int>(std::min<std::int64_t>(lanes, count - i));
    store(to + i, load(from + i, part), part);
  }
}

/// What both passes prepare for a direction.
template <class T>
struct Inputs {
  T *x, *rows;
  float* zeros;  ///< a state's size
  std::byte *w_ih, *w_hh;

  Inputs(const Problem& p, const Weights& ih, const Weights& hh, Workspace& workspace)
      : x(workspace.take<T>(p.cells() * p.columns())),
        rows(workspace.take<T>(p.is_padded ? gates * p.hidden * p.columns() : 0)),
        zeros(workspace.take<float>(p.states())),
        w_ih(workspace.take<std::byte>(ih.bytes)),
        w_hh(workspace.take<std::byte>(hh.bytes)) {}

  template <class Call>
  void gather(const Call& call, const Problem& p, const Sequences& sequences, std::int64_t direction) const {
    std::fill_n(zeros, p.states(), 0.0f);
    sequences.each([&](std::int64_t step, std::int64_t sample, std::int64_t cell) {
      T* to = x + cell * p.columns();
      const bool is_valid = step < sequences.length(sample);
      if (is_valid)
        copy_row(call.x.template as<T>() + sequences.source(direction, step, sample) * p.inputs, to,
                 p.inputs);
      else
        std::fill_n(to, p.inputs, T{});
      if (p.is_padded) to[p.inputs] = T(is_valid ? 0.0f : 1.0f);
    });
  }

  template <class Call>
  void place(const Call& call, const Problem& p, const Weights& ih, const Weights& hh, std::int64_t direction,
             Bytes scratchpad) const {
    T* w = call.w_ih.template as<T>() + direction * gates * p.hidden * p.inputs;
    if (p.is_padded) {
      for (std::int64_t row = 0; row < gates * p.hidden; ++row) {
        const auto gate = row / p.hidden;
        copy_row(w + row * p.inputs, rows + row * p.columns(), p.inputs);
        rows[row * p.columns() + p.inputs] = T(gate == 0 ? -saturating : gate == 1 ? saturating : 0.0f);
      }
      w = rows;
    }
    ih.move->run({w, w_ih}, scratchpad);
    hh.move->run({call.w_hh.template as<T>() + direction * gates * p.hidden * p.hidden, w_hh}, scratchpad);
  }
};

/// What forward leaves of a direction.
template <class T>
struct Kept {
  T* hn;
  float* cn;  ///< hn and cn after the last step, padding included
  std::byte* workspace;

  Kept(const Problem& p, std::size_t workspace_bytes, Workspace& memory)
      : hn(memory.take<T>(p.states())),
        cn(memory.take<float>(p.states())),
        workspace(memory.take<std::byte>(static_cast<std::int64_t>(workspace_bytes))) {}
};

template <class T>
std::int64_t reserve_bytes(const Problem& p, std::size_t workspace_bytes) {
  Workspace counted;
  for (std::int64_t d = 0; d < p.directions; ++d) Kept<T>(p, workspace_bytes, counted);
  return static_cast<std::int64_t>(counted.bytes());
}

Bytes bytes_of_reserve(const View& reserve) {
  return {reserve.as<std::byte>(), static_cast<std::size_t>(reserve.shape[0])};
}

/// A direction's part of an operand (D, ...), or zeros where it is absent.
template <class T>
T* part(const View& view, std::int64_t direction, std::int64_t size, void* zeros) {
  return view.present() ? view.as<T>() + direction * size : static_cast<T*>(zeros);
}

// --------------------------------------------------------------------------------------------- forward

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

// -------------------------------------------------------------------------------------------- backward

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

/// Calls f.template operator()<T>() for a type that oneDNN's LSTM has.
template <class F>
auto dispatch(DType type, F&& f) {
  return type == DType::bf16 ? f.template operator()<bf16>() : f.template operator()<float>();
}

template <class T, template <class> class Memory, class Pass>
std::size_t memory_bytes(const Pass& pass) {
  Workspace counted;
  Memory<T>(pass, counted);
  return counted.bytes();
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
    throw ShapeError("lstm_backward: reserve: expected {} bytes, got {}", expected, call.reserve.shape[0]);
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
