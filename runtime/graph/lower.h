#pragma once
/// From a graph to the kernel calls of one step, in their fixed order: forward, backward, update.

#include <functional>
#include <optional>

#include "runtime/graph/graph.h"

namespace scrawl {

/// How parameters are updated: the hyperparameters of optimizer.h. Rates come from the control block.
struct OptimizerSettings {
  OptimizerStep hyper;
  float clip = 0;  ///< largest global gradient norm; 0 does not clip
  /// Factor on l1, l2 and weight decay of a parameter: by default 0 for vectors (norms) and for
  /// what is called "*.bias" (an LSTM's has two axes), else 1.
  std::function<float(const Tensor&)> decay;
};

struct LowerOptions {
  TensorId loss = no_tensor;  ///< a scalar to minimise; none: inference
  std::optional<OptimizerSettings> optimizer;
  std::uint32_t seed = 0;
  bool keep_gradients = false;  ///< parameters' gradients become outputs "gradient/NAME"
};

/// The calls of one step. `tensors` begins with the graph's own and goes on with temporaries.
struct Lowered {
  std::vector<Tensor> tensors;
  std::vector<Step> steps;
  std::vector<std::string> nodes;  ///< the graph's, by name
  std::map<std::string, TensorId> outputs;
};

/// Names of tensors that the runtime adds to a graph's own.
inline constexpr std::string_view counters_name = "counters";  ///< input (2) i64: step, first sample's number
inline constexpr std::string_view control_name = "control";    ///< state (Control::count) f32: optimizer.h

/// Reverse-mode differentiation happens here: gradients of a tensor that is used more than once are added
/// in the order of the uses. Calls whose results nobody reads are left out.
Lowered lower(const Graph&, const LowerOptions&);

}  // namespace scrawl
