#include "runtime/graph/program.h"

#include <optional>

#include "runtime/device/ranges.h"

namespace scrawl {

namespace {

void expect_size(const std::string& name, const View& view, std::size_t bytes) {
  const auto expected = static_cast<std::size_t>(view.shape.count()) * size_of(view.type);
  if (bytes != expected)
    throw DataError("{}: expected {} bytes ({}), got {}", name, expected, to_string(view), bytes);
}

}  // namespace

std::string range_of(Phase phase) {
  return phase == Phase::update ? "optimiser" : std::string(name_of(phase));
}

View Storage::tensor(const std::string& name, const TensorSpec& spec) {
  if (const auto found = entries_.find(name); found != entries_.end()) {
    const auto& known = found->second.view;
    if (known.shape != spec.shape || known.type != spec.type)
      throw ShapeError("{}: stored as {}, asked for as {} {}", name, to_string(known), name_of(spec.type),
                       to_string(spec.shape));
    return known;
  }
  View view = make_view(nullptr, spec.type, spec.shape, spec.order);
  const auto bytes = static_cast<std::size_t>(spec.shape.count()) * size_of(spec.type);
  Buffer buffer(*device_, bytes);
  view.data = buffer.data();
  entries_.emplace(name, Entry{view, std::move(buffer)});
  return view;
}

View Storage::at(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw InternalError("storage: no tensor {}", name);
  return found->second.view;
}

std::vector<std::string> Storage::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

void Storage::write(const std::string& name, std::span<const std::byte> bytes) {
  const auto view = at(name);
  expect_size(name, view, bytes.size());
  device_->upload(view.data, bytes);
}

std::vector<std::byte> Storage::read(const std::string& name) const {
  const auto view = at(name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(view.shape.count()) * size_of(view.type));
  device_->synchronize();
  device_->download(bytes, view.data);
  return bytes;
}

void Storage::set(Control::Slot slot, float value) {
  const auto control = at(std::string(control_name));
  const double wide = value;
  if (control.type == DType::f64)
    device_->upload(control.as<double>() + slot, std::as_bytes(std::span(&wide, 1)));
  else
    device_->upload(control.as<float>() + slot, std::as_bytes(std::span(&value, 1)));
}

std::byte* Arena::reserve(std::size_t bytes) {
  if (bytes > buffer_.size()) {
    buffer_ = Buffer();  // give the old one back first: both at once may not fit
    buffer_ = Buffer(*device_, bytes, Buffer::Contents::undefined);
  }
  return buffer_.data();
}

Program::Program(Device& device, Storage& storage, Arena& arena, ProgramPlan plan)
    : device_(&device),
      storage_(&storage),
      arena_(&arena),
      plan_(std::move(plan)),
      inputs_buffer_(device, plan_.input_bytes),
      constants_buffer_(device, plan_.constant_bytes) {
  arena_->reserve(plan_.memory.arena_bytes);
  for (std::size_t i = 0; i < plan_.values.size(); ++i)
    if (plan_.values[i].home == Value::Home::input)
      inputs_[plan_.lowered.tensors[static_cast<std::size_t>(plan_.values[i].tensor)].name] =
          static_cast<int>(i);
  bind();
}

Program::Program(Device& device, Storage& storage, Arena& arena, const Graph& graph,
                 const LowerOptions& options)
    : Program(device, storage, arena,
              plan_program(graph, options, device.backend(), device.selection(), device.choices())) {}

void Program::bind() {
  views_.clear();
  std::byte* next_input = inputs_buffer_.data();
  std::byte* next_constant = constants_buffer_.data();
  const auto take = [](std::byte*& next, std::size_t bytes) {
    std::byte* const at = next;
    next += (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
    return at;
  };
  for (std::size_t i = 0; i < plan_.values.size(); ++i) {
    const auto& value = plan_.values[i];
    const auto& tensor = plan_.lowered.tensors[static_cast<std::size_t>(value.tensor)];
    View view = value.view;
    switch (value.home) {
      case Value::Home::storage:
        view.data = storage_->tensor(tensor.name, tensor.spec).data;
        break;
      case Value::Home::input:
        view.data = take(next_input, value.bytes);
        break;
      case Value::Home::constant:
        view.data = take(next_constant, value.bytes);
        break;
      case Value::Home::arena:
        view.data = arena_->data() + plan_.memory.offsets[i];
        break;
    }
    views_.push_back(view);
  }
  prepare_.clear();
  step_.clear();
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    const auto& step = plan_.steps[s];
    std::vector<View> operands;
    for (const int v : step.values) operands.push_back(views_[static_cast<std::size_t>(v)]);
    auto& list = step.phase == Phase::prepare ? prepare_ : step_;
    const Bytes workspace(arena_->data() + plan_.memory.offsets[plan_.values.size() + s],
                          step.call.workspace_bytes);
    list.push_back({static_cast<int>(s), step.call.bind(operands), workspace});
  }
  bound_to_ = arena_->data();
}

void Program::bind_if_moved() {
  if (bound_to_ != arena_->data()) bind();
}

View Program::input(const std::string& name) const {
  const auto found = inputs_.find(name);
  if (found == inputs_.end()) throw InternalError("program: no input {}", name);
  return views_[static_cast<std::size_t>(found->second)];
}

View Program::output(const std::string& name) const {
  const auto found = plan_.outputs.find(name);
  if (found == plan_.outputs.end()) throw InternalError("program: no output {}", name);
  return views_[static_cast<std::size_t>(found->second)];
}

void Program::upload(const std::string& input_name, std::span<const std::byte> bytes) {
  const auto view = input(input_name);
  expect_size(input_name, view, bytes.size());
  device_->upload(view.data, bytes);
}

void Program::download(const std::string& output_name, std::span<std::byte> bytes) const {
  const auto view = output(output_name);
  expect_size(output_name, view, bytes.size());
  device_->download(bytes, view.data);
}

void Program::prepare() {
  bind_if_moved();
  run(prepare_, nullptr);
}

void Program::run() {
  bind_if_moved();
  run(step_, nullptr);
}

void Program::run(CallWatch& watch) {
  bind_if_moved();
  run(step_, &watch);
}

void Program::run(const std::vector<BoundStep>& steps, CallWatch* watch) {
  std::optional<Range> phase, node;  // the inner one ends first
  const PlannedStep* before = nullptr;
  for (const auto& step : steps) {
    const auto& now = plan_.steps[static_cast<std::size_t>(step.step)];
    if (is_profiled()) {
      const bool same_phase = before && before->phase == now.phase;
      if (!same_phase || before->node != now.node) node.reset();
      if (!same_phase) phase.reset(), phase.emplace(range_of(now.phase));
      if (!node && !now.node.empty()) node.emplace(now.node);
      before = &now;
    }
    if (watch) watch->before(now);
    step.run(step.workspace, device_->stream());
    if (watch) watch->after(now);
  }
}

void Program::run_timed(const std::function<void(const PlannedStep&, double)>& tell) {
  bind_if_moved();
  for (const auto& step : step_) {
    const auto start = std::chrono::steady_clock::now();
    step.run(step.workspace, device_->stream());
    device_->synchronize();
    tell(plan_.steps[static_cast<std::size_t>(step.step)],
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
}

}  // namespace scrawl
