
#include "runtime/graph/program.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "runtime/device/choices.h"

namespace scrawl {
namespace {

class Planning {
 public:
  Planning(Lowered lowered, const Backend& backend, const Selection& selection, const Choices* choices)
      : backend_(backend), selection_(selection), choices_(choices), placed_(lowered.tensors.size()) {
    plan_.lowered = std::move(lowered);
    constant_.resize(plan_.lowered.tensors.size(), false);
  }

  ProgramPlan run() {
    for (const auto& step : plan_.lowered.steps) add(step);
    node_.clear();
    for (const auto& [name, tensor] : plan_.lowered.outputs) plan_.outputs[name] = plain_output(tensor);
    refuse();
    lay_out();
    return std::move(plan_);
  }

 private:
  const Tensor& tensor(TensorId id) const { return plan_.lowered.tensors[static_cast<std::size_t>(id)]; }
  std::vector<int>& placements(TensorId id) { return placed_[static_cast<std::size_t>(id)]; }
  Value& value(int i) { return plan_.values[static_cast<std::size_t>(i)]; }

  View plain(TensorId id) const {
    const auto& spec = tensor(id).spec;
    return make_view(nullptr, spec.type, spec.shape, spec.order);
  }

  int new_value(TensorId id, const View& view) {
    const auto role = tensor(id).role;
    auto home = Value::Home::arena;
    if (placements(id).empty()) {  // other placements of a stored tensor are copies, and live in the arena
      if (role == Role::input) home = Value::Home::input;
      if (role == Role::parameter || role == Role::state) home = Value::Home::storage;
    }
    plan_.values.push_back({id, view, backend_.bytes(view), home});
    placements(id).push_back(static_cast<int>(plan_.values.size()) - 1);
    return placements(id).back();
  }

  /// The tensor as it was written; stored tensors and inputs are there before the first step.
  int original(TensorId id, std::string_view reader) {
    if (placements(id).empty()) {
      if (tensor(id).role == Role::activation)
        throw InternalError("{} reads {}, which nothing wrote", reader, tensor(id).name);
      new_value(id, plain(id));
    }
    return placements(id).front();
  }

  std::string step_name(const Step& step) const {
    for (std::size_t i = 0; i < step.tensors.size(); ++i)
      if (step.access[i] == Access::write) return tensor(step.tensors[i]).name + " " + step.call;
    return step.call;
  }

  void add(const Step& step) {
    const auto name = step_name(step);
    phase_ = step.phase;
    node_ = step.node < 0 ? "" : plan_.lowered.nodes[static_cast<std::size_t>(step.node)];
    std::vector<View> views;
    for (std::size_t i = 0; i < step.tensors.size(); ++i)
      views.push_back(step.access[i] == Access::write ? plain(step.tensors[i])
                                                      : value(original(step.tensors[i], name)).view);
    PlannedStep planned{.name = name, .node = node_, .phase = step.phase};
    planned.access = step.access;
    planned.key = key_of(plan_.lowered, step, selection_.f32_products);
    const auto* const choice = choices_ ? choices_->find(planned.key) : nullptr;
    planned.is_chosen = choice != nullptr;
    try {
      planned.call =
          choice ? plan_choice(step, *choice, views, name) : step.plan(backend_, selection_, views);
    } catch (const Unsupported& error) {
      refusals_.push_back(fmt::format("{}: {}", name, error.what()));
    } catch (const ShapeError& error) {
      throw ShapeError("{}: {}", name, error.what());
    }
    const bool constant = depends_on_parameters_only(step);
    if (constant) planned.phase = Phase::prepare;
    for (std::size_t i = 0; i < step.tensors.size(); ++i)
      planned.values.push_back(settle(step, i, views[i], name));
    for (const auto id : step.tensors)
      constant_[static_cast<std::size_t>(id)] = constant_[static_cast<std::size_t>(id)] || constant;
    push(std::move(planned));
  }

  /// Leaves out by name what takes the call before the variant chosen.
  PlannedCall plan_choice(const Step& step, const Choice& choice, std::vector<View>& views,
                          std::string_view name) const {
    std::vector<std::string> before;
    auto selection = selection_;
    std::string last;
    try {
      for (;;) {
        selection.without = before;
        auto attempt = views;
        auto call = step.plan(backend_, selection, attempt);
        if (call.variant == choice.variant) {
          for (auto& [variant, reason] : call.refused)
            if (std::ranges::find(before, variant) != before.end()) reason = "left out by the choice file";
          views = attempt;
          return call;
        }
        before.push_back(call.variant);
      }
    } catch (const ShapeError& error) {  // nobody is left, or what is left cannot read what another wrote
      last = error.what();
    }
    throw UsageError(
        "{}: {}: {}: expected one of the variants that take this call here ({}), got {}; {}; "
        "measure again with scrawl tune",
        choices_->source(), name, choice.call,
        before.empty() ? "none" : fmt::format("{}", fmt::join(before, ", ")), choice.variant, last);
  }

  /// The value that operand i reads or writes, in the placement that the planner asked for.
  int settle(const Step& step, std::size_t i, const View& wanted, std::string_view name) {
    const auto id = step.tensors[i];
    switch (step.access[i]) {
      case Access::read:
        return in_placement(id, wanted);
      case Access::update: {
        const int v = original(id, name);
        if (!same_placement(value(v).view, wanted))
          throw InternalError("{}: wants to update {} in another placement than it is stored in", name,
                              tensor(id).name);
        return v;
      }
      case Access::write:
        return new_value(id, wanted);
    }
    return -1;
  }

  int in_placement(TensorId id, const View& wanted) {
    for (const int v : placements(id))
      if (same_placement(value(v).view, wanted)) return v;
    return reorder(id, wanted);
  }

  int reorder(TensorId id, const View& wanted) {
    const int from = placements(id).front();
    View x = value(from).view, y = wanted;
    Copy copy{.x = x, .y = y};
    const auto name = tensor(id).name + " reorder";
    std::shared_ptr<Plan<Copy>> plan;
    try {
      plan = std::make_shared<Plan<Copy>>(backend_.copy(copy, selection_));
    } catch (const Unsupported& error) {
      refusals_.push_back(fmt::format("{}: {}", name, error.what()));
      return new_value(id, wanted);
    }
    if (!same_placement(copy.x, x) || !same_placement(copy.y, y))
      throw InternalError("reorder of {}: {} cannot be copied to {}", tensor(id).name, backend_.placement(x),
                          backend_.placement(y));
    const int to = new_value(id, wanted);
    PlannedStep step{
        .name = name, .node = node_, .phase = depends_on_parameters_only(id) ? Phase::prepare : phase_};
    step.call = {plan->variant, plan->refused, plan->workspace_bytes, [plan](std::span<const View> operands) {
                   return [plan, bound = Copy{.x = operands[0], .y = operands[1]}](
                              Bytes workspace, Stream stream) { plan->run(bound, workspace, stream); };
                 }};
    step.values = {from, to};
    step.access = {Access::read, Access::write};
    push(std::move(step));
    return to;
  }

  /// Parameters change within a training step, and never in an inference program.
  bool depends_on_parameters_only(TensorId id) const {
    const bool inference =
        std::ranges::none_of(plan_.lowered.steps, [](const Step& s) { return s.phase == Phase::update; });
    const auto role = tensor(id).role;
    return inference &&
           (role == Role::parameter || role == Role::state || constant_[static_cast<std::size_t>(id)]);
  }

  bool depends_on_parameters_only(const Step& step) const {
    for (std::size_t i = 0; i < step.tensors.size(); ++i)
      if (step.access[i] != Access::write && !depends_on_parameters_only(step.tensors[i])) return false;
    return std::ranges::any_of(step.access, [](Access a) { return a != Access::write; });
  }

  void push(PlannedStep step) {
    const int at = static_cast<int>(plan_.steps.size());
    for (const int v : step.values) {
      auto& val = value(v);
      if (val.first < 0) val.first = at;
      val.last = at;
      if (step.phase == Phase::prepare && val.home == Value::Home::arena) val.home = Value::Home::constant;
    }
    plan_.steps.push_back(std::move(step));
  }

  int plain_output(TensorId id) {
    original(id, "output");
    const int v = in_placement(id, plain(id));
    value(v).last = std::numeric_limits<int>::max();
    return v;
  }

  /// Planning goes on behind a call that no variant takes, so that all of them are told at once.
  void refuse() const {
    if (refusals_.size() == 1) throw Unsupported("{}", refusals_.front());
    if (!refusals_.empty())
      throw Unsupported("{} calls that no variant takes:\n{}", refusals_.size(), fmt::join(refusals_, "\n"));
  }

  void lay_out() {
    for (const auto& v : plan_.values) {
      const bool in_arena = v.home == Value::Home::arena;
      plan_.lifetimes.push_back(in_arena ? Lifetime{v.bytes, v.first, v.last} : Lifetime{0, 0, 0});
      const auto padded = (v.bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
      if (v.home == Value::Home::constant) plan_.constant_bytes += padded;
      if (v.home == Value::Home::input) plan_.input_bytes += padded;
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i)
      plan_.lifetimes.push_back(
          {plan_.steps[i].call.workspace_bytes, static_cast<int>(i), static_cast<int>(i)});
    plan_.memory = plan_memory(plan_.lifetimes);
  }

  const Backend& backend_;
  const Selection& selection_;
  const Choices* choices_;
  ProgramPlan plan_;
  std::vector<std::vector<int>> placed_;
  std::vector<bool> constant_;
  std::vector<std::string> refusals_;
  Phase phase_ = Phase::forward;  ///< of the step that is being planned
  std::string node_;              ///< of that step
};

}  // namespace

std::string key_of(const Lowered& lowered, const Step& step, F32Products products) {
  std::vector<std::string> operands;
  for (const auto id : step.tensors) {
    const auto& spec = lowered.tensors[static_cast<std::size_t>(id)].spec;
    operands.push_back(fmt::format("{} {}", name_of(spec.type), to_string(spec.shape)));
  }
  return fmt::format("{}[{}]({}){}", step.call, step.parameters, fmt::join(operands, ", "),
                     products == F32Products::tf32 ? " tf32" : "");
}

ProgramPlan plan_program(Lowered lowered, const Backend& backend, const Selection& selection,
                         const Choices* choices) {
  return Planning(std::move(lowered), backend, selection, choices).run();
}

ProgramPlan plan_program(const Graph& graph, LowerOptions options, const Backend& backend,
                         const Selection& selection, const Choices* choices) {
  const auto apart = decompose(graph, backend, selection);
  if (options.loss != no_tensor) {
    const auto loss =
        std::ranges::find(graph.outputs(), options.loss, [](const auto& output) { return output.second; });
    if (loss == graph.outputs().end())
      throw InternalError("loss {}: is no output of the graph", graph.tensor(options.loss).name);
    options.loss = apart.outputs().at(loss->first);
  }
  return plan_program(lower(apart, options), backend, selection, choices);
}

}  // namespace scrawl
