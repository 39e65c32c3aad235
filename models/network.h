#pragma once
/// From a recipe's list of layers to a graph for one batch shape.

#include <cstdint>
#include <string>
#include <vector>

#include "models/recipe.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/program.h"

namespace scrawl {

enum class NetworkUse : std::uint8_t {
  training,    ///< dropout, batch statistics, loss
  evaluation,  ///< running statistics folded into the convolutions; log-probabilities and per-sample losses
  prediction,  ///< log-probabilities only
};

struct NetworkShape {
  std::int64_t batch = 1;
  std::int64_t width = 0;          ///< pixels; 0: the recipe's
  std::int64_t longest_label = 1;  ///< columns of `labels`
};

/// How a parameter begins. Uniform in +-bound plus a constant, or orthogonal rows (of the recurrent weights).
struct ParameterStart {
  std::string name;
  float bound = 0, constant = 0;
  enum class Kind : std::uint8_t { uniform, orthogonal, forget_one } kind = Kind::uniform;
};

/// Inputs of the graph:
///   pixels (N,C,H,W) u8;  widths (N) i32 valid pixels, where the recipe asks for valid widths
///   sequences: labels (N,L), label_lengths (N), input_lengths (N) i32, the last unless widths are given
///   classes:   targets (N) i32
/// Outputs: loss (1) in training; log_probabilities (T,N,K) or (N,K) f32 otherwise, with `losses` (N) in
/// evaluation, and `lengths` (N) i32 of sequences with valid widths.
struct Network {
  Graph graph;
  TensorId loss = no_tensor;
  std::int64_t frames = 0;             ///< T of sequences
  std::vector<ParameterStart> starts;  ///< of the parameters, in order
};

/// `type` is the storage type; f64 gives a network in double precision for the reference backend.
/// Throws ShapeError or UsageError naming the recipe's line.
Network build_network(const Recipe&, int classes, const NetworkShape&, NetworkUse, DType type);

/// The device's choice of kernels for this precision. Throws DeviceError for one that the device lacks.
Selection selection_for(const Device&, Precision);

/// Time steps that the network makes of a valid width of pixels. For sequences.
int frames_of(const Recipe&, int valid_width);

/// Gives every parameter its starting value, a function of seed and name.
/// Convolutions and dense layers: He et al., 2015; before sigmoid and tanh Glorot & Bengio, 2010;
/// recurrent weights orthogonal (Saxe et al., 2014), forget biases 1 (Jozefowicz et al., 2015).
void initialize(Storage&, const Network&, std::uint64_t seed);

}  // namespace scrawl
