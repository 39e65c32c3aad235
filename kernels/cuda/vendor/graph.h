#pragma once
/// cuDNN's graph API: tensors and operations as descriptors, a graph of them, and the engines that can run
/// it.
///
/// A descriptor is made, given its attributes and finalised; cuDNN checks them then. Source: cuDNN's
/// documentation of its backend API, and cudnn_graph.h.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/vendor/cudnn.h"
#include "kernels/plan.h"

namespace scrawl::cuda {

class Descriptor {
 public:
  Descriptor(const Cudnn&, cudnnBackendDescriptorType_t);
  ~Descriptor();
  Descriptor(Descriptor&&) noexcept;
  Descriptor& operator=(Descriptor&&) noexcept;

  // Throw DeviceError with the attribute that cuDNN does not take.
  Descriptor& set(cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, std::int64_t count,
                  const void* values);
  Descriptor& set(cudnnBackendAttributeName_t, std::int64_t);
  Descriptor& set(cudnnBackendAttributeName_t, std::span<const std::int64_t>);
  Descriptor& set(cudnnBackendAttributeName_t, const Descriptor&);
  Descriptor& set(cudnnBackendAttributeName_t, cudnnDataType_t);
  /// Throws DeviceError with what cuDNN finds wrong with the whole: `what` it is.
  Descriptor& finalize(std::string_view what);

  /// The one value of an attribute.
  std::int64_t number(cudnnBackendAttributeName_t) const;
  /// As many as there are, at most `most`.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, std::int64_t most) const;
  void get(cudnnBackendAttributeName_t, Descriptor& value) const;
  std::vector<Descriptor> descriptors(cudnnBackendAttributeName_t, cudnnBackendDescriptorType_t) const;
  /// At most so many, where cuDNN does not say how many there are.
  std::vector<Descriptor> descriptors(cudnnBackendAttributeName_t, cudnnBackendDescriptorType_t,
                                      std::int64_t most) const;

  cudnnBackendDescriptor_t raw() const { return raw_; }
  const Cudnn& cudnn() const { return *cudnn_; }

 private:
  const Cudnn* cudnn_;
  cudnnBackendDescriptor_t raw_ = nullptr;
};

/// The GPU that a graph is planned for: that of a handle, or, where there is no GPU, one that is described
/// (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR; cuDNN 9.8).
struct PlannedFor {
  cudnnHandle_t handle = nullptr;
  const Descriptor* properties = nullptr;
};

/// What may not be taken from the engines that cuDNN offers.
struct EngineLimits {
  enum class Repeats : std::uint8_t { needed, not_needed } repeats = Repeats::needed;
  enum class TensorCores : std::uint8_t { allowed, left_out } tensor_cores = TensorCores::allowed;
  std::size_t most_workspace = std::size_t{1} << 30;
};

/// What a plan was made of: cuDNN's descriptors name each other.
struct GraphParts {
  std::vector<std::unique_ptr<Descriptor>> tensors_and_operations;
  std::vector<cudnnBackendDescriptor_t> operations;
};

/// A graph's engine, its knobs set, ready to run.
class EnginePlan {
 public:
  EnginePlan(std::shared_ptr<const GraphParts>, std::shared_ptr<const Descriptor> graph,
             Descriptor engine_config, Descriptor plan);

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  /// `operands` in the order in which the graph got them. Throws DeviceError, for operands that are not
  /// aligned to graph_alignment also.
  void run(CudnnHandle&, std::span<void* const> operands, Bytes workspace, Stream) const;

 private:
  std::shared_ptr<const GraphParts> parts_;
  std::shared_ptr<const Descriptor> graph_;
  Descriptor engine_config_, plan_;
  std::size_t workspace_bytes_;
};

/// An engine, its knobs set, that cuDNN's heuristics name for a graph.
class EngineOffer {
 public:
  EngineOffer(std::shared_ptr<const GraphParts>, std::shared_ptr<const Descriptor> graph,
              Descriptor engine_config);

  std::int64_t number() const { return number_; }
  /// "engine 17"; "engine 17, choice 2" for its second choice of knobs; "engine 0, whose bits do not repeat"
  std::string name() const;

  /// Once. May compile kernels, which takes seconds. Throws Refused for what the limits leave out,
  /// DeviceError with what cuDNN does not take.
  EnginePlan plan(const PlannedFor&, const EngineLimits&) &&;

 private:
  friend class Graph;
  /// Kinds and values, in order.
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs() const;

  std::shared_ptr<const GraphParts> parts_;
  std::shared_ptr<const Descriptor> graph_;
  Descriptor engine_config_;
  std::int64_t number_;
  std::vector<cudnnBackendNumericalNote_t> notes_;
  std::size_t choice_ = 1;  ///< of knobs, among the offers of this engine
};

/// What kernels of cuDNN want of each operand's address, in bytes.
inline constexpr std::int64_t graph_alignment = 16;

/// Operations over operands. Descriptors live as long as the graph and its plans.
class Graph {
 public:
  explicit Graph(const Cudnn& cudnn) : cudnn_(cudnn) {}

  /// An operand, bound to memory when the plan runs.
  const Descriptor& operand(const View&);
  /// A vector of channels, as an operand that is broadcast over an image (1,C,1,1).
  const Descriptor& channels(const View&);
  /// An f32 number as an operand: memory of the host, read when the plan runs.
  const Descriptor& scalar();
  /// An f32 tensor between two operations: never stored.
  const Descriptor& between(const View& like);
  const Descriptor& channels_between(const View& like);
  /// An operation or a description that operations share, to be given attributes and finalised.
  Descriptor& add(cudnnBackendDescriptorType_t);
  /// y = f(x) or f(x, b), in f32.
  void pointwise(cudnnPointwiseMode_t, const Descriptor& x, const Descriptor* b, const Descriptor& y);
  void operation(const Descriptor& finalised) { parts_->operations.push_back(finalised.raw()); }

  std::size_t operands() const { return operands_; }

  /// The first engine within the limits, as cuDNN's heuristics order them. Throws Refused with why each was
  /// not taken.
  EnginePlan plan(const PlannedFor&, const EngineLimits&) const;
  /// Every engine that its heuristics name, in each choice of knobs once, for a search by time.
  std::vector<EngineOffer> offers(const PlannedFor&) const;

 private:
  enum class Kind : std::uint8_t { operand, scalar, between };
  const Descriptor& tensor(cudnnDataType_t, std::span<const std::int64_t> dims,
                           std::span<const std::int64_t> strides, Kind);
  Descriptor finished(const PlannedFor&) const;
  /// Throws DeviceError where a heuristic knows nothing of the graph.
  std::vector<EngineOffer> offers(const PlannedFor&, std::shared_ptr<const Descriptor> graph,
                                  cudnnBackendHeurMode_t) const;

  const Cudnn& cudnn_;
  std::shared_ptr<GraphParts> parts_ = std::make_shared<GraphParts>();
  std::size_t operands_ = 0;
  std::int64_t virtuals_ = 0;
};

}  // namespace scrawl::cuda
