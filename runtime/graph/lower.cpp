#include "runtime/graph/lower.h"

#include <algorithm>
#include <set>

namespace scrawl {
namespace {

class Lowering final : public Emit {
 public:
  Lowering(const Graph& graph, const LowerOptions& options)
      : graph_(graph), options_(options), gradients_(graph.tensors().size()) {
    lowered_.tensors = graph.tensors();
    lowered_.outputs = graph.outputs();
    for (const auto& node : graph.nodes()) lowered_.nodes.push_back(node.name);
  }

  Lowered run() {
    count_uses();
    phase_ = Phase::forward;
    visit_forward();
    if (training()) {
      phase_ = Phase::backward;
      visit_backward();
      phase_ = Phase::update;
      emit_update();
    }
    drop_unread();
    return std::move(lowered_);
  }

  TensorId in(std::size_t i) override { return i < node().inputs.size() ? node().inputs[i] : no_tensor; }
  TensorId out(std::size_t i) override { return node().outputs.at(i); }
  TensorId used(std::size_t i) override { return used_.contains(out(i)) ? out(i) : no_tensor; }
  TensorId dy(std::size_t i) override { return i < node().outputs.size() ? gradient_of(out(i)) : no_tensor; }

  TensorId dx(std::size_t i) override {
    const auto input = in(i);
    if (input == no_tensor || !graph_.tensor(input).differentiable) return no_tensor;
    auto spec = graph_.spec(input);
    spec.type = spec.gradient_type;
    const auto gradient = temporary("gradient of " + graph_.tensor(input).name, spec);
    pass_gradient(i, gradient);
    return gradient;
  }

  void pass_gradient(std::size_t i, TensorId gradient) override {
    const auto input = in(i);
    if (input == no_tensor || gradient == no_tensor || !graph_.tensor(input).differentiable) return;
    gradients_[static_cast<std::size_t>(input)].push_back(gradient);
  }

  TensorId temporary(std::string_view name, const TensorSpec& spec) override {
    return append({fmt::format("{}/{}", node_ < 0 ? "" : node().name, name), Role::activation, spec});
  }

  const TensorSpec& spec(TensorId id) const override {
    return lowered_.tensors[static_cast<std::size_t>(id)].spec;
  }
  bool training() const override { return options_.loss != no_tensor; }

  TensorId counters() override {
    if (counters_ == no_tensor)
      counters_ = append({std::string(counters_name), Role::input, matrix_spec(DType::i64, {2})});
    return counters_;
  }

  TensorId control() override {
    if (control_ == no_tensor)
      control_ =
          append({std::string(control_name), Role::state, matrix_spec(control_type(), {Control::count})});
    return control_;
  }

  std::uint32_t seed() const override { return options_.seed; }
  std::uint32_t node_number() const override { return draw_key(node().name); }

  void push(Step step) override {
    step.node = node_;
    step.phase = phase_;
    if (node_ >= 0) step.parameters = std::visit([](const auto& op) { return op.parameters(); }, node().op);
    if (!training()) step.parameters += step.parameters.empty() ? "inference" : ", inference";
    lowered_.steps.push_back(std::move(step));
  }

 private:
  const Node& node() const { return graph_.nodes()[static_cast<std::size_t>(node_)]; }

  TensorId append(Tensor tensor) {
    lowered_.tensors.push_back(std::move(tensor));
    return static_cast<TensorId>(lowered_.tensors.size() - 1);
  }

  /// f32, or f64 where the whole graph is in double precision.
  DType control_type() const { return training() ? spec(options_.loss).type : DType::f32; }

  void count_uses() {
    for (const auto& n : graph_.nodes()) used_.insert(n.inputs.begin(), n.inputs.end());
    for (const auto& [name, id] : graph_.outputs()) used_.insert(id);
  }

  template <class Visit>
  void at_node(std::size_t i, Visit visit) {
    node_ = static_cast<int>(i);
    std::visit(visit, node().op);
    node_ = -1;
  }

  void visit_forward() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i)
      at_node(i, [&](const auto& op) { op.forward(*this); });
  }

  void visit_backward() {
    for (std::size_t i = graph_.nodes().size(); i-- > 0;) {
      const auto& n = graph_.nodes()[i];
      const bool root = std::ranges::find(n.outputs, options_.loss) != n.outputs.end();
      const bool reached = root || std::ranges::any_of(n.outputs, [&](TensorId o) {
                             return !gradients_[static_cast<std::size_t>(o)].empty();
                           });
      if (reached && graph_.tensor(n.outputs[0]).differentiable)
        at_node(i, [&](const auto& op) { op.backward(*this); });
    }
  }

  /// The sum of all gradients that reached a tensor; every use of it has been visited by now.
  TensorId gradient_of(TensorId id) {
    auto& parts = gradients_[static_cast<std::size_t>(id)];
    if (parts.empty()) return no_tensor;
    while (parts.size() > 1) {
      const auto b = parts.back();
      parts.pop_back();
      const auto a = parts.back();
      const auto sum = temporary("gradient sum", spec(a));
      call("add", &Backend::add, Add{}, {read(&Add::a, a), read(&Add::b, b), write(&Add::y, sum)});
      parts.back() = sum;
    }
    return parts.front();
  }

  void emit_update() {
    std::vector<TensorId> parameters, gradients;
    for (std::size_t i = 0; i < graph_.tensors().size(); ++i) {
      if (graph_.tensors()[i].role != Role::parameter) continue;
      const auto gradient = gradient_of(static_cast<TensorId>(i));
      if (gradient == no_tensor) continue;
      parameters.push_back(static_cast<TensorId>(i));
      gradients.push_back(gradient);
      if (options_.keep_gradients) lowered_.outputs["gradient/" + graph_.tensors()[i].name] = gradient;
    }
    if (!options_.optimizer) return;
    emit_norm(gradients);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i)
      at_node(i, [&]<class Op>(const Op& op) {
        if constexpr (StatefulOperator<Op>) op.update(*this);
      });
    emit_optimizer(parameters, gradients);
    call("step_end", &Backend::step_end, StepEnd{}, {update(&StepEnd::control, control())});
  }

  void emit_norm(const std::vector<TensorId>& gradients) {
    GradientNorm norm{.clip = options_.optimizer->clip};
    norm.g.resize(gradients.size());
    std::vector<Bind<GradientNorm>> bindings{read(&GradientNorm::loss, options_.loss),
                                             update(&GradientNorm::control, control())};
    for (std::size_t i = 0; i < gradients.size(); ++i)
      bindings.push_back(bind_at(&GradientNorm::g, i, gradients[i], Access::read));
    call("gradient_norm", &Backend::gradient_norm, norm, bindings);
  }

  void emit_optimizer(const std::vector<TensorId>& parameters, const std::vector<TensorId>& gradients) {
    OptimizerStep step = options_.optimizer->hyper;
    const bool second_moment = step.kind != OptimizerKind::sgd;
    step.decay.clear();
    for (auto* list : {&step.w, &step.g, &step.m}) list->resize(parameters.size());
    step.v.resize(second_moment ? parameters.size() : 0);
    std::vector<Bind<OptimizerStep>> bindings{read(&OptimizerStep::control, control())};
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Tensor parameter = graph_.tensor(parameters[i]);
      const bool decays = parameter.spec.shape.rank > 1 && !parameter.name.ends_with(".bias");
      step.decay.push_back(options_.optimizer->decay ? options_.optimizer->decay(parameter)
                                                     : (decays ? 1.0f : 0.0f));
      const auto moment = [&](std::string_view which) {
        return append({fmt::format("optimizer/{}/{}", which, parameter.name), Role::state, parameter.spec});
      };
      bindings.push_back(bind_at(&OptimizerStep::w, i, parameters[i], Access::update));
      bindings.push_back(bind_at(&OptimizerStep::g, i, gradients[i], Access::read));
      bindings.push_back(bind_at(&OptimizerStep::m, i, moment("m"), Access::update));
      if (second_moment) bindings.push_back(bind_at(&OptimizerStep::v, i, moment("v"), Access::update));
    }
    call("optimizer_step", &Backend::optimizer_step, step, bindings);
  }

  void drop_unread() {
    std::set<TensorId> wanted;
    for (const auto& [name, id] : lowered_.outputs) wanted.insert(id);
    std::vector<Step> kept;
    for (auto step = lowered_.steps.rbegin(); step != lowered_.steps.rend(); ++step) {
      bool needed = false;
      for (std::size_t i = 0; i < step->tensors.size(); ++i)
        needed |= step->access[i] == Access::update ||
                  (step->access[i] == Access::write && wanted.contains(step->tensors[i]));
      if (!needed) continue;
      for (std::size_t i = 0; i < step->tensors.size(); ++i)
        if (step->access[i] != Access::write) wanted.insert(step->tensors[i]);
      kept.push_back(std::move(*step));
    }
    std::ranges::reverse(kept);
    lowered_.steps = std::move(kept);
  }

  const Graph& graph_;
  const LowerOptions& options_;
  std::vector<std::vector<TensorId>> gradients_;
  std::set<TensorId> used_;
  TensorId counters_ = no_tensor, control_ = no_tensor;
  int node_ = -1;
  Phase phase_ = Phase::forward;
  Lowered lowered_;
};

}  // namespace

Lowered lower(const Graph& graph, const LowerOptions& options) { return Lowering(graph, options).run(); }

}  // namespace scrawl
