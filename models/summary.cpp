#include "models/summary.h"

#include "models/network.h"
#include "runtime/graph/program.h"

namespace scrawl {
namespace {

using nlohmann::json;

json node_summary(const Graph& graph, const Node& node) {
  const auto& out = graph.spec(node.outputs[0]);
  std::int64_t weights = 0;
  for (const auto id : node.inputs)
    if (id != no_tensor && graph.tensor(id).role == Role::parameter) weights += graph.spec(id).shape.count();
  const auto cost = cost_of(graph, node, Phase::forward);
  return {{"name", node.name},
          {"operator", name_of(node.op)},
          {"parameters", std::visit([](const auto& op) { return op.parameters(); }, node.op)},
          {"output", fmt::format("{} {}", name_of(out.type), to_string(out.shape))},
          {"weights", weights},
          {"flops", cost.flops},
          {"bytes", cost.bytes}};
}

json call_summary(const ProgramPlan& plan, const PlannedStep& step, const Backend& backend) {
  auto placements = json::array();
  for (const int v : step.values)
    placements.push_back(backend.placement(plan.values[static_cast<std::size_t>(v)].view));
  auto refused = json::array();
  for (const auto& r : step.call.refused) refused.push_back({{"variant", r.variant}, {"reason", r.reason}});
  return {{"name", step.name},
          {"phase", name_of(step.phase)},
          {"variant", step.call.variant},
          {"chosen", step.is_chosen},
          {"refused", refused},
          {"placements", placements},
          {"workspace_bytes", step.call.workspace_bytes}};
}

json memory_summary(const ProgramPlan& plan) {
  auto tensors = json::array();
  std::size_t weights = 0;
  for (std::size_t i = 0; i < plan.values.size(); ++i) {
    const auto& v = plan.values[i];
    if (v.home == Value::Home::storage) weights += v.bytes;
    if (v.home != Value::Home::arena) continue;
    tensors.push_back({{"name", plan.lowered.tensors[static_cast<std::size_t>(v.tensor)].name},
                       {"bytes", v.bytes},
                       {"offset", plan.memory.offsets[i]},
                       {"first", v.first},
                       {"last", std::min<int>(v.last, static_cast<int>(plan.steps.size()))}});
  }
  return {{"arena_bytes", plan.memory.arena_bytes},
          {"least_bytes", plan.memory.least_bytes},
          {"stored_bytes", weights},
          {"input_bytes", plan.input_bytes},
          {"constant_bytes", plan.constant_bytes},
          {"tensors", tensors}};
}

std::string nodes_text(const json& summary) {
  auto text = fmt::format("{:<24} {:<16} {:<26} {:>10} {:>12} {:>11}  {}\n", "node", "operator", "output",
                          "weights", "MFLOP", "MB", "parameters");
  double flops = 0;
  for (const auto& n : summary["nodes"]) {
    text += fmt::format("{:<24} {:<16} {:<26} {:>10} {:>12.2f} {:>11.2f}  {}\n", n["name"].get<std::string>(),
                        n["operator"].get<std::string>(), n["output"].get<std::string>(),
                        n["weights"].get<std::int64_t>(), n["flops"].get<double>() / 1e6,
                        n["bytes"].get<double>() / 1e6, n["parameters"].get<std::string>());
    flops += n["flops"].get<double>();
  }
  const auto& memory = summary["memory"];
  return text + fmt::format(
                    "{} parameters, {:.2f} GFLOP forward; arena {:.1f} MB (least possible {:.1f}), stored "
                    "{:.1f} MB\n",
                    summary["parameters"].get<std::int64_t>(), flops / 1e9,
                    memory["arena_bytes"].get<double>() / 1e6, memory["least_bytes"].get<double>() / 1e6,
                    memory["stored_bytes"].get<double>() / 1e6);
}

std::string calls_text(const json& summary) {
  auto text = fmt::format("{:<9} {:<56} {:<26} {}\n", "phase", "call", "variant", "placements");
  for (const auto& c : summary["calls"]) {
    std::string placements;
    for (const auto& p : c["placements"]) placements += p.get<std::string>() + " ";
    text +=
        fmt::format("{:<9} {:<56} {:<26} {}\n", c["phase"].get<std::string>(), c["name"].get<std::string>(),
                    c["variant"].get<std::string>() + (c["chosen"].get<bool>() ? " (chosen)" : ""),
                    placements.size() > 80 ? placements.substr(0, 77) + "..." : placements);
    for (const auto& r : c["refused"])
      text += fmt::format("{:>66} {:<26} refused: {}\n", "", r["variant"].get<std::string>(),
                          r["reason"].get<std::string>());
  }
  return text;
}

std::string memory_text(const json& summary) {
  auto text = fmt::format("{:>12} {:>12} {:>6} {:>6}  {}\n", "offset", "bytes", "first", "last", "tensor");
  for (const auto& t : summary["memory"]["tensors"])
    text += fmt::format("{:>12} {:>12} {:>6} {:>6}  {}\n", t["offset"].get<std::size_t>(),
                        t["bytes"].get<std::size_t>(), t["first"].get<int>(), t["last"].get<int>(),
                        t["name"].get<std::string>());
  return text;
}

}  // namespace

json summarize(const Recipe& recipe, int classes, Device& device, int batch, bool training) {
  const auto selection = selection_for(device, recipe.training.precision);
  const auto use = training ? NetworkUse::training : NetworkUse::prediction;
  const auto network =
      build_network(recipe, classes, {batch, 0, 32}, use, storage_type(recipe.training.precision));
  const auto graph = decompose(network.graph, device.backend(), selection);
  LowerOptions lowering;
  if (training) {
    lowering.loss = graph.outputs().at("loss");
    lowering.optimizer =
        OptimizerSettings{.hyper = recipe.training.optimizer, .clip = recipe.training.clip, .decay = {}};
  }
  const auto plan = plan_program(lower(graph, lowering), device.backend(), selection, device.choices());

  json summary{
      {"recipe", recipe.name}, {"device", device.name()}, {"batch", batch}, {"memory", memory_summary(plan)}};
  std::int64_t parameters = 0;
  for (const auto& t : graph.tensors())
    if (t.role == Role::parameter) parameters += t.spec.shape.count();
  summary["parameters"] = parameters;
  for (const auto& node : graph.nodes()) summary["nodes"].push_back(node_summary(graph, node));
  for (const auto& step : plan.steps) summary["calls"].push_back(call_summary(plan, step, device.backend()));
  return summary;
}

std::string to_text(const json& summary, Detail detail) {
  switch (detail) {
    case Detail::calls:
      return calls_text(summary);
    case Detail::memory:
      return memory_text(summary);
    default:
      return nodes_text(summary);
  }
}

}  // namespace scrawl
