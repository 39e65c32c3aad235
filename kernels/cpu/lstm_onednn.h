#pragma once
/// LSTM by oneDNN, which knows no lengths: each direction is a pass from left to right over sequences
/// gathered in its order, with padding at their end. Where there are lengths, x has one column more, 1 in
/// padding, whose weights close the input gates and open the forget gates: c stays as the sequence left it,
/// and gradients pass through it unchanged.
///
/// Here is what forward and backward share.

#include "kernels/cpu/dense.h"
#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/onednn.h"
#include "kernels/lstm.h"

namespace scrawl::cpu::lstm_onednn {

using dnnl::memory;

inline constexpr auto left_to_right = dnnl::rnn_direction::unidirectional_left2right;
inline constexpr std::int64_t gates = 4;
inline constexpr float saturating = 1e30f;  ///< beside it any sum of a gate rounds away

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

inline dnnl::lstm_forward::primitive_desc describe_forward(const Descriptors& of, dnnl::prop_kind phase,
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
  /// Calls f(step, sample, cell), cell = step N + sample; steps beyond the sequence included.
  template <class F>
  void each(F&& f) const {
    parallel_for(threads_, problem_.cells(), 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t cell = begin; cell < end; ++cell)
        f(cell / problem_.batch, cell % problem_.batch, cell);
    });
  }
  /// Where a direction's step lies in the call's tensors, in cells; or, where a time lies in the direction's.
  std::int64_t source(std::int64_t direction, std::int64_t step, std::int64_t sample) const {
    const auto turned = direction == 0 ? step : length(sample) - 1 - step;
    return turned * problem_.batch + sample;
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

inline Bytes bytes_of_reserve(const View& reserve) {
  return {reserve.as<std::byte>(), static_cast<std::size_t>(reserve.shape[0])};
}

/// A direction's part of an operand (D, ...), or zeros where it is absent.
template <class T>
T* part(const View& view, std::int64_t direction, std::int64_t size, void* zeros) {
  return view.present() ? view.as<T>() + direction * size : static_cast<T*>(zeros);
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

}  // namespace scrawl::cpu::lstm_onednn
