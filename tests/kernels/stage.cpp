#include "tests/kernels/stage.h"

#include <algorithm>

namespace scrawl::test {
namespace {

constexpr std::size_t guard = 4096, alignment = 64;
constexpr std::byte pattern{0xA5};

/// Row-major memory for a view's elements.
struct Plain {
  explicit Plain(const View& view)
      : memory(std::max<std::size_t>(1, size_of(view.type) * static_cast<std::size_t>(view.shape.count()))),
        view(make_view(memory.data(), view.type, view.shape)) {}

  std::vector<std::byte> memory;
  View view;
};

/// Converts between placements by the backend's own copy.
void reorder(const Backend& backend, const View& from, const View& to) {
  if (!backend.copy)
    throw InternalError("{}: an opaque placement of {} but no copy to reach it", backend.name,
                        to_string(from));
  Copy call{.x = from, .y = to};
  call.x.data = call.y.data = nullptr;
  const auto plan = backend.copy(call, {});
  if (!same_placement(call.x, from) || !same_placement(call.y, to))
    throw InternalError("{}: copy of {} changed the placements that it was given", backend.name,
                        to_string(from));
  call.x.data = from.data;
  call.y.data = to.data;
  GuardedBuffer workspace(plan.workspace_bytes);
  plan.run(call, workspace.bytes(), nullptr);
}

}  // namespace

Tensor rounded(const Tensor& tensor, DType type) {
  if (tensor.shape().count() == 0) return tensor;
  View like = make_view(nullptr, type, tensor.shape());
  const Plain plain(like);
  tensor.store(plain.view);
  return Tensor(plain.view);
}

GuardedBuffer::GuardedBuffer(std::size_t bytes)
    : size_(bytes), memory_(bytes + 2 * guard + alignment, pattern) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory_.data()) + guard;
  offset_ = guard + (alignment - start % alignment) % alignment;
}

Bytes GuardedBuffer::bytes() { return Bytes(memory_).subspan(offset_, size_); }

void GuardedBuffer::fill(std::byte value) { std::ranges::fill(bytes(), value); }

bool GuardedBuffer::guards_intact() const {
  const auto is_pattern = [](std::byte b) { return b == pattern; };
  const auto payload = memory_.begin() + static_cast<std::ptrdiff_t>(offset_);
  return std::all_of(memory_.begin(), payload, is_pattern) &&
         std::all_of(payload + static_cast<std::ptrdiff_t>(size_), memory_.end(), is_pattern);
}

Stage::Stage(const Backend& backend, std::vector<Bound> operands, std::size_t workspace_bytes, Memory memory)
    : backend_(backend), target_(target_of(backend)), memory_(memory), workspace_(workspace_bytes) {
  const auto shift = [&](const Bound& operand) {
    return memory == Memory::misaligned && operand.name != "reserve" ? size_of(operand.view->type) : 0;
  };
  for (auto& operand : operands) {
    const auto bytes = backend.bytes(*operand.view) + shift(operand);
    held_.push_back({.operand = std::move(operand), .buffer = GuardedBuffer(bytes)});
  }
  for (auto& held : held_) held.memory = held.buffer.bytes().subspan(shift(held.operand));
  if (memory == Memory::in_place)
    for (auto& held : held_) take_place(held);
  for (auto& held : held_) held.operand.view->data = held.memory.data();
}

void Stage::take_place(Held& output) {
  for (auto& input : held_) {
    const bool fits = input.operand.name == output.operand.in_place_of &&
                      input.operand.view->type == output.operand.view->type &&
                      same_placement(*input.operand.view, *output.operand.view);
    if (!fits) continue;
    output.memory = input.memory;
    output.place = &input;
    input.is_overwritten = true;
  }
}

void Stage::set(const Values& inputs, std::byte poison) {
  workspace_.fill(poison);
  for (auto& held : held_) held.buffer.fill(poison);
  for (auto& held : held_) {
    if (held.operand.role == Role::output) continue;
    const auto value = inputs.find(held.operand.name);
    if (value == inputs.end()) throw InternalError("harness: no values for {}", held.operand.name);
    View on_host = *held.operand.view;
    on_host.data = held.memory.data();
    place(value->second, on_host);
    held.before.assign(held.memory.begin(), held.memory.end());
  }
  if (target_) move_in(poison);
}

/// Gives the target what was set. Outputs and workspace are undefined there.
void Stage::move_in(std::byte poison) {
  target_->begin(static_cast<std::uint64_t>(poison) + held_.size());
  for (auto& held : held_) {
    if (held.place) continue;
    const auto whole = held.buffer.bytes();
    held.piece = target_->allocate(whole.size(), poison);
    held.device = held.piece + (held.memory.data() - whole.data());
    if (held.operand.role != Role::output && !held.memory.empty()) target_->upload(held.device, held.memory);
  }
  for (auto& held : held_) {
    if (held.place) held.device = held.place->device;
    held.operand.view->data = held.device;
  }
  const auto bytes = workspace_.bytes().size();
  device_workspace_ = {target_->allocate(bytes, poison), bytes};
}

/// What was written beside a target's memory, before a next run takes it away.
void Stage::look_at_guards() {
  const auto look = [&](const std::byte* piece, const std::string& name) {
    const auto problem = "writes outside of " + name;
    if (!target_->guards_intact(piece) && std::ranges::find(trespasses_, problem) == trespasses_.end())
      trespasses_.push_back(problem);
  };
  look(device_workspace_.data(), "its workspace");
  for (const auto& held : held_)
    if (!held.place) look(held.piece, held.operand.name);
}

Values Stage::outputs() {
  if (target_) look_at_guards();
  Values values;
  for (auto& held : held_) {
    if (target_ && !held.memory.empty()) target_->download(held.memory, held.device);
    if (held.operand.role == Role::input) continue;
    View on_host = *held.operand.view;
    on_host.data = held.memory.data();
    values[held.operand.name] = read(on_host);
  }
  return values;
}

std::vector<std::string> Stage::trespasses() {
  auto found = trespasses_;
  if (!workspace_.guards_intact()) found.push_back("writes outside of its workspace");
  for (auto& held : held_) {
    const auto& [name, view, role, in_place_of] = held.operand;
    if (!held.buffer.guards_intact()) found.push_back("writes outside of " + name);
    if (role == Role::input) {
      if (!held.is_overwritten && !std::ranges::equal(held.before, held.memory))
        found.push_back("writes to its input " + name);
    } else if (view->layout) {
      // What copy makes of the same values has every byte in place, the padding's too.
      GuardedBuffer expected(held.memory.size());
      View again = *view;
      again.data = expected.bytes().data();
      place(read(*view), again);
      if (!std::ranges::equal(expected.bytes(), held.memory))
        found.push_back("does not write the padding of " + name);
    }
  }
  return found;
}

void Stage::place(const Tensor& tensor, const View& view) {
  if (!view.layout) return tensor.store(view);
  const Plain plain(view);
  tensor.store(plain.view);
  reorder(backend_, plain.view, view);
}

Tensor Stage::read(const View& view) {
  if (!view.layout) return Tensor(view);
  const Plain plain(view);
  reorder(backend_, view, plain.view);
  return Tensor(plain.view);
}

}  // namespace scrawl::test
