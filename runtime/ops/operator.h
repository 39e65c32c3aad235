#pragma once
/// What an operator is. One struct a file in this folder; list.h names them all.
///
/// An operator says which shapes it makes (`infer`), which kernel calls it turns into (`forward`,
/// `backward`), and what it costs. It never runs anything: it emits calls, which the graph plans.

#include <any>
#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace scrawl {

using TensorId = int;
inline constexpr TensorId no_tensor = -1;

/// What is known of a tensor before it has memory.
struct TensorSpec {
  DType type = DType::f32;
  Shape shape;
  Order order = Order::row_major;
  DType gradient_type = DType::f32;

  bool present() const { return shape.rank > 0; }
};

TensorSpec image_spec(DType, const Shape&);   ///< channels_last, gradient of the same type
TensorSpec matrix_spec(DType, const Shape&);  ///< row_major, gradient of the same type

/// Arithmetic and least traffic of a call: what its limit is computed from.
struct Cost {
  double flops = 0;  ///< multiply and add count as two
  double bytes = 0;  ///< each operand once
};

enum class Access : std::uint8_t { read, write, update };

/// Joins an operand of a Call to a tensor of the graph.
template <class Call>
struct Bind {
  std::function<View&(Call&)> slot;
  TensorId tensor;
  Access access;
};

template <class Call>
Bind<Call> read(View Call::*member, TensorId tensor) {
  return {[member](Call& c) -> View& { return c.*member; }, tensor, Access::read};
}
template <class Call>
Bind<Call> write(View Call::*member, TensorId tensor) {
  return {[member](Call& c) -> View& { return c.*member; }, tensor, Access::write};
}
template <class Call>
Bind<Call> update(View Call::*member, TensorId tensor) {
  return {[member](Call& c) -> View& { return c.*member; }, tensor, Access::update};
}
/// Element `index` of a list of operands; the list must have its size.
template <class Call>
Bind<Call> bind_at(std::vector<View> Call::*member, std::size_t index, TensorId tensor, Access access) {
  return {[member, index](Call& c) -> View& { return (c.*member)[index]; }, tensor, access};
}

enum class Phase : std::uint8_t { prepare, forward, backward, update };

std::string_view name_of(Phase);

/// A planned call, its operands' placements settled, ready to be given memory.
struct PlannedCall {
  std::string variant;
  std::vector<Refusal> refused;
  std::size_t workspace_bytes = 0;
  /// Takes the operands with data, in binding order, and gives the function to run.
  std::function<std::function<void(Bytes workspace, Stream)>(std::span<const View> operands)> bind;
};

/// A call on tensors of a graph, not planned yet.
struct Step {
  std::string call;  ///< "conv2d_forward"
  int node = -1;     ///< -1: no node's (an optimiser)
  Phase phase = Phase::forward;
  std::string parameters = {};  ///< of the node's operator, and "inference" in such a program
  std::vector<TensorId> tensors;  ///< in binding order
  std::vector<Access> access;
  /// Plans for a backend; may change the operands' placements.
  std::function<PlannedCall(const Backend&, const Selection&, std::span<View> operands)> plan;
  /// The Call itself on these operands, for who looks at what is asked for.
  std::function<std::any(std::span<const View> operands)> call_on;
};

/// Where an operator emits its calls. The graph implements it once for each node and phase.
class Emit {
 public:
  virtual ~Emit() = default;

  virtual TensorId in(std::size_t i) = 0;   ///< input i, or no_tensor where an optional one is absent
  virtual TensorId out(std::size_t i) = 0;  ///< output i
  virtual TensorId used(
      std::size_t i) = 0;  ///< output i if anything reads it or it is asked for, else no_tensor
  virtual TensorId dy(std::size_t i) = 0;  ///< gradient of output i, or no_tensor: nothing flows back there
  virtual TensorId dx(std::size_t i) = 0;  ///< a new tensor for the gradient of input i, or no_tensor
  /// Says that the gradient of input i is this very tensor.
  virtual void pass_gradient(std::size_t i, TensorId gradient) = 0;
  virtual TensorId temporary(std::string_view name, const TensorSpec&) = 0;
  virtual const TensorSpec& spec(TensorId) const = 0;
  virtual bool training() const = 0;
  virtual TensorId counters() = 0;  ///< (2) i64: step, number of this batch's first sample (elementwise.h)
  virtual TensorId control() = 0;   ///< the control block (optimizer.h)
  virtual std::uint32_t seed() const = 0;
  virtual std::uint32_t node_number() const = 0;  ///< keys random draws

  /// Emits one call. `entry` is the backend's planner for it, `name` that entry's name.
  template <class Call>
  void call(std::string_view name, Planner<Call> Backend::*entry, Call call,
            std::vector<Bind<Call>> bindings);

  virtual void push(Step) = 0;
};

/// A call as a step; absent operands are left out of the bindings.
template <class Call>
Step make_step(std::string_view name, Planner<Call> Backend::*entry, Call call,
               std::vector<Bind<Call>> bindings) {
  std::erase_if(bindings, [](const Bind<Call>& b) { return b.tensor == no_tensor; });
  Step step{.call = std::string(name)};
  for (const auto& b : bindings) {
    step.tensors.push_back(b.tensor);
    step.access.push_back(b.access);
  }
  const auto on = [call, bindings](std::span<const View> operands) {
    Call bound = call;
    for (std::size_t i = 0; i < bindings.size(); ++i) bindings[i].slot(bound) = operands[i];
    return bound;
  };
  step.call_on = on;
  step.plan = [name = step.call, entry, on, bindings = std::move(bindings)](
                  const Backend& backend, const Selection& selection, std::span<View> operands) {
    if (!(backend.*entry)) throw Unsupported("backend {} has no {}", backend.name, name);
    auto planned = std::make_shared<Call>(on(operands));
    auto plan = std::make_shared<Plan<Call>>((backend.*entry)(*planned, selection));
    for (std::size_t i = 0; i < bindings.size(); ++i) operands[i] = bindings[i].slot(*planned);
    return PlannedCall{plan->variant, plan->refused, plan->workspace_bytes,
                       [plan, planned, bindings](std::span<const View> with_data) {
                         Call bound = *planned;
                         for (std::size_t i = 0; i < bindings.size(); ++i)
                           bindings[i].slot(bound) = with_data[i];
                         return [plan, bound](Bytes workspace, Stream stream) {
                           plan->run(bound, workspace, stream);
                         };
                       }};
  };
  return step;
}

template <class Call>
void Emit::call(std::string_view name, Planner<Call> Backend::*entry, Call call,
                std::vector<Bind<Call>> bindings) {
  push(make_step(name, entry, std::move(call), std::move(bindings)));
}

using Specs = std::vector<TensorSpec>;

/// Every operator. `inputs` may hold absent entries where an input is optional.
template <class Op>
concept Operator = requires(const Op op, const Specs& inputs, const Specs& outputs, Emit& emit) {
  { Op::name } -> std::convertible_to<std::string_view>;
  { op.infer(inputs) } -> std::same_as<Specs>;
  { op.forward(emit) } -> std::same_as<void>;
  { op.backward(emit) } -> std::same_as<void>;
  { op.cost(Phase::forward, inputs, outputs) } -> std::same_as<Cost>;
  { op.parameters() } -> std::same_as<std::string>;
};

/// A fused operator says whether a backend has its calls among these kernels; where not, the graph has it
/// decompose into simple ones: `template <class Rebuild> void decompose(Rebuild&) const` (graph/graph.h).
/// What no library fuses is taken apart for `vendor`, whose kernels the simple ones are.
template <class Op>
concept FusedOperator = Operator<Op> && requires(const Op op, const Backend& backend, KernelSet kernels) {
  { op.supported(backend, kernels) } -> std::same_as<bool>;
};

/// An operator with state that a step updates once it is known to be finite (running statistics).
template <class Op>
concept StatefulOperator = Operator<Op> && requires(const Op op, Emit& emit) {
  op.update(emit);
};

/// Bytes of all present tensors: the least traffic of an operator that reads and writes each once.
double bytes_of(const Specs& inputs, const Specs& outputs);

/// What keys the random draws of a node or parameter: its name, for its place changes when others come, go or
/// are taken apart. FNV-1a.
std::uint32_t draw_key(std::string_view name);

/// Throws ShapeError("OP: INPUT: expected WHAT, got SHAPE") unless the condition holds.
void expect(bool condition, std::string_view op, std::string_view input, std::string_view expected,
            const TensorSpec& got);

}  // namespace scrawl
