#include "kernels/cuda/vendor/graph.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "kernels/error.h"

namespace scrawl::cuda {

namespace {

using Four = std::array<std::int64_t, 4>;

/// Tensors between operations are numbered behind operands.
constexpr std::int64_t first_virtual = 1000;

constexpr std::string_view name_of(cudnnBackendHeurMode_t mode) {
  return mode == CUDNN_HEUR_MODE_A ? "A" : mode == CUDNN_HEUR_MODE_B ? "B" : "fallback";
}

/// Why an engine with these notes is not taken; empty if it is.
std::string fault_of(std::span<const cudnnBackendNumericalNote_t> notes, const EngineLimits& limits) {
  const auto has = [&](cudnnBackendNumericalNote_t note) {
    return std::ranges::find(notes, note) != notes.end();
  };
  if (limits.repeats == EngineLimits::Repeats::needed && has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC))
    return "does not repeat its bits";
  for (const auto note :
       {CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13})
    if (has(note)) return "transforms its operands: errors are larger than those of sums of products";
  if (has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return "sums in less than f32";
  if (has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) return "rounds its operands to a narrower type";
  if (limits.tensor_cores == EngineLimits::TensorCores::left_out && has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
    return "rounds f32 to tf32";
  return "";
}

}  // namespace

// ---------------------------------------------------------------------------------------------- descriptors

Descriptor::Descriptor(const Cudnn& cudnn, cudnnBackendDescriptorType_t type) : cudnn_(&cudnn) {
  cudnn.check(cudnn.create_node(type, &raw_), fmt::format("a descriptor of type {}", int{type}));
}

Descriptor::~Descriptor() {
  if (raw_) cudnn_->destroy_node(raw_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept
    : cudnn_(other.cudnn_), raw_(std::exchange(other.raw_, nullptr)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(cudnn_, other.cudnn_);
  std::swap(raw_, other.raw_);
  return *this;
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            std::int64_t count, const void* values) {
  cudnn_->check(cudnn_->set_attribute(raw_, name, type, count, values),
                fmt::format("attribute {}", int{name}));
  return *this;
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, std::int64_t value) {
  return set(name, CUDNN_TYPE_INT64, 1, &value);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values) {
  return set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) {
  const auto raw = value.raw();
  return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}
Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
  return set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

Descriptor& Descriptor::finalize(std::string_view what) {
  cudnn_->check(cudnn_->finalize(raw_), what);
  return *this;
}

std::int64_t Descriptor::number(cudnnBackendAttributeName_t name) const {
  const auto found = values<std::int64_t>(name, CUDNN_TYPE_INT64, 1);
  if (found.empty()) throw DeviceError("cuDNN: attribute {}: expected a number, got none", int{name});
  return found[0];
}

template <class T>
std::vector<T> Descriptor::values(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                  std::int64_t most) const {
  std::vector<T> found(static_cast<std::size_t>(most));
  std::int64_t count = 0;
  cudnn_->check(cudnn_->get_attribute(raw_, name, type, most, &count, found.data()),
                fmt::format("attribute {}", int{name}));
  found.resize(static_cast<std::size_t>(std::min(count, most)));
  return found;
}

void Descriptor::get(cudnnBackendAttributeName_t name, Descriptor& value) const {
  std::int64_t count = 0;
  cudnn_->check(cudnn_->get_attribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &value.raw_),
                fmt::format("attribute {}", int{name}));
}

std::vector<Descriptor> Descriptor::descriptors(cudnnBackendAttributeName_t name,
                                                cudnnBackendDescriptorType_t type) const {
  std::int64_t count = 0;
  cudnn_->check(cudnn_->get_attribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
                fmt::format("attribute {}", int{name}));
  return descriptors(name, type, count);
}

std::vector<Descriptor> Descriptor::descriptors(cudnnBackendAttributeName_t name,
                                                cudnnBackendDescriptorType_t type, std::int64_t most) const {
  std::int64_t count = 0;
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < most; ++i) {
    found.emplace_back(*cudnn_, type);
    raw.push_back(found.back().raw());
  }
  cudnn_->check(cudnn_->get_attribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count, raw.data()),
                fmt::format("attribute {}", int{name}));
  while (std::ssize(found) > count) found.pop_back();
  return found;
}

// --------------------------------------------------------------------------------------------------- graphs

const Descriptor& Graph::tensor(cudnnDataType_t type, std::span<const std::int64_t> dims,
                                std::span<const std::int64_t> strides, Kind kind) {
  auto& made = add(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const bool is_virtual = kind == Kind::between, is_by_value = kind == Kind::scalar;
  const auto id = is_virtual ? first_virtual + virtuals_++ : static_cast<std::int64_t>(operands_++);
  made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, graph_alignment)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims)
      .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual)
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &is_by_value);
  return made.finalize("a tensor");
}

const Descriptor& Graph::operand(const View& view) {
  const auto rank = static_cast<std::size_t>(view.shape.rank);
  return tensor(cudnn_type(view.type), std::span(view.shape.dims).first(rank),
                std::span(view.strides).first(rank), Kind::operand);
}

const Descriptor& Graph::between(const View& like) {
  const auto rank = static_cast<std::size_t>(like.shape.rank);
  return tensor(CUDNN_DATA_FLOAT, std::span(like.shape.dims).first(rank), std::span(like.strides).first(rank),
                Kind::between);
}

const Descriptor& Graph::channels(const View& view) {
  const auto count = view.shape[0];
  return tensor(cudnn_type(view.type), Four{1, count, 1, 1}, Four{count, 1, count, count}, Kind::operand);
}

const Descriptor& Graph::channels_between(const View& like) {
  const auto count = like.shape[0];
  return tensor(CUDNN_DATA_FLOAT, Four{1, count, 1, 1}, Four{count, 1, count, count}, Kind::between);
}

const Descriptor& Graph::scalar() {
  return tensor(CUDNN_DATA_FLOAT, Four{1, 1, 1, 1}, Four{1, 1, 1, 1}, Kind::scalar);
}

Descriptor& Graph::add(cudnnBackendDescriptorType_t type) {
  return *parts_->tensors_and_operations.emplace_back(std::make_unique<Descriptor>(cudnn_, type));
}

void Graph::pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b,
                      const Descriptor& y) {
  auto& kind = add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  kind.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode)
      .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  if (mode == CUDNN_POINTWISE_RELU_FWD) {
    constexpr auto nan = CUDNN_PROPAGATE_NAN;
    kind.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan);
  }
  kind.finalize("a pointwise function");
  auto& node = add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  node.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  if (b) node.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation(node.finalize("a pointwise operation"));
}

Descriptor Graph::finished(const PlannedFor& gpu) const {
  Descriptor graph(cudnn_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (gpu.handle) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &gpu.handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::ssize(parts_->operations),
            parts_->operations.data());
  graph.finalize("the graph");
  return graph;
}

std::vector<EngineOffer> Graph::offers(const PlannedFor& gpu, std::shared_ptr<const Descriptor> graph,
                                       cudnnBackendHeurMode_t mode) const {
  Descriptor heuristic(cudnn_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, *graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (gpu.properties) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *gpu.properties);
  heuristic.finalize("a heuristic");
  std::vector<EngineOffer> found;
  for (auto& config :
       heuristic.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR))
    found.emplace_back(parts_, graph, std::move(config));
  return found;
}

EnginePlan Graph::plan(const PlannedFor& gpu, const EngineLimits& limits) const {
  const auto graph = std::make_shared<const Descriptor>(finished(gpu));
  std::string faults;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) try {
      for (auto& offer : offers(gpu, graph, mode)) try {
          return std::move(offer).plan(gpu, limits);
        } catch (const std::runtime_error& fault) {
          faults += fmt::format("\n    engine {}: {}", offer.number(), fault.what());
        }
    } catch (const DeviceError& error) {
      faults += fmt::format("\n    heuristic {}: {}", name_of(mode), error.what());
    }
  throw Refused("cuDNN: no engine takes this call:{}", faults.empty() ? " its heuristics name none" : faults);
}

std::vector<EngineOffer> Graph::offers(const PlannedFor& gpu) const {
  const auto graph = std::make_shared<const Descriptor>(finished(gpu));
  std::vector<EngineOffer> all;
  std::map<std::int64_t, std::set<std::vector<std::pair<std::int64_t, std::int64_t>>>> choices;
  std::string faults;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) try {
      for (auto& offer : offers(gpu, graph, mode)) {
        auto& known = choices[offer.number()];
        if (!known.insert(offer.knobs()).second) continue;
        offer.choice_ = known.size();
        all.push_back(std::move(offer));
      }
    } catch (const DeviceError& error) {
      faults += fmt::format("\n    heuristic {}: {}", name_of(mode), error.what());
    }
  if (all.empty())
    throw Refused("cuDNN: no engine takes this call:{}",
                  faults.empty() ? " its heuristics name none" : faults);
  return all;
}

// ---------------------------------------------------------------------------------------------------- plans

EnginePlan::EnginePlan(std::shared_ptr<const GraphParts> parts, std::shared_ptr<const Descriptor> graph,
                       Descriptor engine_config, Descriptor plan)
    : parts_(std::move(parts)),
      graph_(std::move(graph)),
      engine_config_(std::move(engine_config)),
      plan_(std::move(plan)),
      workspace_bytes_(static_cast<std::size_t>(plan_.number(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE))) {}

EngineOffer::EngineOffer(std::shared_ptr<const GraphParts> parts, std::shared_ptr<const Descriptor> graph,
                         Descriptor engine_config)
    : parts_(std::move(parts)), graph_(std::move(graph)), engine_config_(std::move(engine_config)) {
  Descriptor engine(engine_config_.cudnn(), CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine_config_.get(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  number_ = engine.number(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  notes_ = engine.values<cudnnBackendNumericalNote_t>(
      CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
}

std::string EngineOffer::name() const {
  const bool repeats = std::ranges::find(notes_, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) == notes_.end();
  return fmt::format("engine {}{}{}", number_, choice_ == 1 ? "" : fmt::format(", choice {}", choice_),
                     repeats ? "" : ", whose bits do not repeat");
}

std::vector<std::pair<std::int64_t, std::int64_t>> EngineOffer::knobs() const {
  std::vector<std::pair<std::int64_t, std::int64_t>> all;
  // It does not say how many there are.
  for (const auto& choice : engine_config_.descriptors(
           CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS)) {
    const auto kind =
        choice.values<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1);
    all.emplace_back(kind.empty() ? -1 : std::int64_t{kind[0]},
                     choice.number(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  std::ranges::sort(all);
  return all;
}

EnginePlan EngineOffer::plan(const PlannedFor& gpu, const EngineLimits& limits) && {
  if (const auto fault = fault_of(notes_, limits); !fault.empty()) throw Refused("{}", fault);
  Descriptor plan(engine_config_.cudnn(), CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (gpu.handle) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &gpu.handle);
  if (gpu.properties) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *gpu.properties);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine_config_).finalize("a plan");
  EnginePlan made(parts_, graph_, std::move(engine_config_), std::move(plan));
  if (made.workspace_bytes() > limits.most_workspace)
    throw Refused("needs a workspace of {} bytes, more than {}", made.workspace_bytes(),
                  limits.most_workspace);
  return made;
}

void EnginePlan::run(CudnnHandle& handle, std::span<void* const> operands, Bytes workspace,
                     Stream stream) const {
  const auto& cudnn = plan_.cudnn();
  std::vector<std::int64_t> ids;
  for (const void* const operand : operands) {
    if (reinterpret_cast<std::uintptr_t>(operand) % graph_alignment != 0)
      throw DeviceError("cuDNN: operand {}: expected an address aligned to {} bytes, got {}", ids.size(),
                        graph_alignment, operand);
    ids.push_back(std::ssize(ids));
  }
  void* const scratch = workspace.data();
  Descriptor pack(cudnn, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(operands), operands.data())
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &scratch)
      .finalize("operands");
  handle.on(stream, [&](cudnnHandle_t own) {
    cudnn.check(cudnn.execute(own, plan_.raw(), pack.raw()), "a graph is run");
  });
}

}  // namespace scrawl::cuda
