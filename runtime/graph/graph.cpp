#include "runtime/graph/graph.h"

namespace scrawl {

TensorId Graph::declare(std::string name, Role role, const TensorSpec& spec) {
  if (const auto found = declared_.find(name); found != declared_.end()) {
    const auto& known = tensor(found->second);
    if (known.role != role || known.spec.shape != spec.shape || known.spec.type != spec.type)
      throw ShapeError("{}: declared twice: first {} {}, then {} {}", name, name_of(known.spec.type),
                       to_string(known.spec.shape), name_of(spec.type), to_string(spec.shape));
    return found->second;
  }
  const auto id = static_cast<TensorId>(tensors_.size());
  declared_.emplace(name, id);
  tensors_.push_back({std::move(name), role, spec, role == Role::parameter});
  return id;
}

Specs Graph::specs(const std::vector<TensorId>& ids) const {
  Specs specs;
  for (const auto id : ids) specs.push_back(id == no_tensor ? TensorSpec{} : spec(id));
  return specs;
}

std::vector<TensorId> Graph::add(std::string name, Operation op, std::vector<TensorId> inputs) {
  // Operators may look at optional inputs past those given.
  constexpr std::size_t most_inputs = 8;
  inputs.resize(std::max(inputs.size(), most_inputs), no_tensor);
  const auto in = specs(inputs);

  Specs out;
  try {
    out = std::visit([&](const auto& o) { return o.infer(in); }, op);
  } catch (const ShapeError& error) {
    std::string shapes;
    for (const auto& s : in)
      if (s.present()) shapes += (shapes.empty() ? "" : ", ") + to_string(s.shape);
    throw ShapeError("{}: {} (inputs: {})", name, error.what(), shapes);
  }

  bool differentiable = false;
  for (const auto id : inputs) differentiable |= id != no_tensor && tensor(id).differentiable;
  std::vector<TensorId> outputs;
  for (std::size_t i = 0; i < out.size(); ++i) {
    outputs.push_back(static_cast<TensorId>(tensors_.size()));
    tensors_.push_back(
        {i == 0 ? name : fmt::format("{}:{}", name, i), Role::activation, out[i], differentiable});
  }
  nodes_.push_back({std::move(name), std::move(op), std::move(inputs), outputs});
  return outputs;
}

void Graph::output(std::string name, TensorId id) { outputs_[std::move(name)] = id; }

std::string_view name_of(const Operation& op) {
  return std::visit([](const auto& o) -> std::string_view { return o.name; }, op);
}

namespace {

/// Copies a graph node by node; a decomposing operator adds its parts in its own place.
class Rebuilder {
 public:
  Rebuilder(const Graph& from, std::function<bool(const Operation&)> take_apart)
      : from_(from), take_apart_(std::move(take_apart)), ids_(from.tensors().size(), no_tensor) {}

  Graph run() {
    for (std::size_t i = 0; i < from_.tensors().size(); ++i) {
      const auto& t = from_.tensors()[i];
      if (t.role == Role::input) ids_[i] = to_.input(t.name, t.spec);
      if (t.role == Role::parameter) ids_[i] = to_.parameter(t.name, t.spec);
      if (t.role == Role::state) ids_[i] = to_.state(t.name, t.spec);
    }
    for (const auto& node : from_.nodes()) {
      std::vector<TensorId> inputs;
      for (const auto id : node.inputs) inputs.push_back(mapped(id));
      add_node(node.name, node.op, inputs);
      for (std::size_t i = 0; i < node.outputs.size() && i < last_.size(); ++i)
        ids_[static_cast<std::size_t>(node.outputs[i])] = last_[i];
    }
    for (const auto& [name, id] : from_.outputs()) to_.output(name, mapped(id));
    return std::move(to_);
  }

 private:
  /// What an operator's decompose() sees.
  struct Parts {
    Rebuilder& owner;
    std::string name;
    std::vector<TensorId> inputs;
    std::vector<TensorId> results = {};

    TensorId in(std::size_t i) const { return i < inputs.size() ? inputs[i] : no_tensor; }
    template <Operator Op>
    std::vector<TensorId> add(Op op, std::vector<TensorId> from) {
      owner.add_node(fmt::format("{}/{}", name, Op::name), op, std::move(from));
      return owner.last_;
    }
    void replace(std::vector<TensorId> outputs) { results = std::move(outputs); }
  };

  void add_node(const std::string& name, const Operation& op, const std::vector<TensorId>& inputs) {
    if (!take_apart_(op)) {
      last_ = to_.add(name, op, inputs);
      return;
    }
    std::visit(
        [&]<class Op>(const Op& o) {
          if constexpr (FusedOperator<Op>) {
            Parts parts{*this, name, inputs};
            o.decompose(parts);
            last_ = parts.results;
          }
        },
        op);
  }

  TensorId mapped(TensorId id) const {
    return id == no_tensor ? no_tensor : ids_[static_cast<std::size_t>(id)];
  }

  const Graph& from_;
  std::function<bool(const Operation&)> take_apart_;
  std::vector<TensorId> ids_;
  std::vector<TensorId> last_;
  Graph to_;
};

}  // namespace

Graph decompose(const Graph& graph, const Backend& backend, const Selection& selection) {
  const auto lacks = [&](const Operation& op) {
    return std::visit(
        [&]<class Op>(const Op& o) {
          if constexpr (FusedOperator<Op>) return !o.supported(backend, selection.kernels);
          return false;
        },
        op);
  };
  return Rebuilder(graph, lacks).run();
}

Graph decompose_all(const Graph& graph) {
  const auto fused = [](const Operation& op) {
    return std::visit(
        []<class Op>(const Op& o) {
          // CTC on log-probabilities is what CTC on logits comes apart into: there is nothing below it.
          if constexpr (std::same_as<Op, ops::Ctc>) return o.input == CtcInput::logits;
          return FusedOperator<Op>;
        },
        op);
  };
  return Rebuilder(graph, fused).run();
}

// A product's backward is two of them. Of the graph's inputs nobody wants the gradient: the other one is
// left.
Cost cost_of(const Graph& graph, const Node& node, Phase phase) {
  const auto in = graph.specs(node.inputs), out = graph.specs(node.outputs);
  return std::visit(
      [&]<class Op>(const Op& op) -> Cost {
        constexpr bool is_product = std::same_as<Op, ops::Conv2d> || std::same_as<Op, ops::Conv2dPool> ||
                                    std::same_as<Op, ops::Conv2dBatchNormPool> ||
                                    std::same_as<Op, ops::Dense>;
        if (is_product && phase == Phase::backward && !graph.tensor(node.inputs[0]).differentiable)
          return op.cost(Phase::forward, in, out);
        return op.cost(phase, in, out);
      },
      node.op);
}

}  // namespace scrawl
