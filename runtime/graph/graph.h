#pragma once
/// A graph of operators on named tensors. Building one checks every shape; nothing runs.

#include <map>
#include <string>
#include <vector>

#include "runtime/ops/list.h"

namespace scrawl {

/// Who owns a tensor's memory: inputs, parameters and states outlive a step; activations are planned.
enum class Role : std::uint8_t { input, parameter, state, activation };

struct Tensor {
  std::string name;
  Role role = Role::activation;
  TensorSpec spec;
  bool differentiable = false;  ///< a parameter, or computed from one
};

struct Node {
  std::string name;
  Operation op;
  std::vector<TensorId> inputs;  ///< no_tensor where an optional one is absent
  std::vector<TensorId> outputs;
};

class Graph {
 public:
  TensorId input(std::string name, const TensorSpec& spec) {
    return declare(std::move(name), Role::input, spec);
  }
  /// Parameters and states of one name are one tensor.
  TensorId parameter(std::string name, const TensorSpec& spec) {
    return declare(std::move(name), Role::parameter, spec);
  }
  TensorId state(std::string name, const TensorSpec& spec) {
    return declare(std::move(name), Role::state, spec);
  }

  /// Adds a node; returns its outputs. A ShapeError names the node and the shapes of its inputs.
  std::vector<TensorId> add(std::string name, Operation op, std::vector<TensorId> inputs);

  /// Keeps a tensor until the end of a run, readable under a name, in its plain placement.
  void output(std::string name, TensorId);

  const Tensor& tensor(TensorId id) const { return tensors_[static_cast<std::size_t>(id)]; }
  const TensorSpec& spec(TensorId id) const { return tensor(id).spec; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::map<std::string, TensorId>& outputs() const { return outputs_; }
  Specs specs(const std::vector<TensorId>&) const;  ///< absent tensors give absent specs

 private:
  TensorId declare(std::string name, Role, const TensorSpec&);

  std::vector<Tensor> tensors_;
  std::vector<Node> nodes_;
  std::map<std::string, TensorId> outputs_, declared_;
};

/// The same graph with every fused operator that the backend lacks, among the kernels that are selected,
/// taken apart into simple ones.
Graph decompose(const Graph&, const Backend&, const Selection&);

/// Takes every fused operator apart, for comparison.
Graph decompose_all(const Graph&);

std::string_view name_of(const Operation&);

/// Of a node of the graph, in its forward or backward.
Cost cost_of(const Graph&, const Node&, Phase);

}  // namespace scrawl
