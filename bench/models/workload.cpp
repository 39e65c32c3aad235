#include "bench/models/workload.h"

#include "bench/measure.h"
#include "bench/random_batch.h"
#include "models/recognizer.h"

namespace scrawl::bench {

Workload::Workload(const Recipe& recipe, int classes, int batch, NetworkUse use, Device& device)
    : storage_(device), arena_(device) {
  const bool training = use == NetworkUse::training;
  const auto network = build_network(recipe, classes, {batch, 0, longest_random_label}, use,
                                     storage_type(recipe.training.precision));
  const auto graph = decompose(network.graph, device.backend());
  LowerOptions lowering;
  if (training) {
    lowering.loss = graph.outputs().at("loss");
    lowering.optimizer = OptimizerSettings{.hyper = recipe.training.optimizer, .clip = 0, .decay = {}};
  }
  program_ = std::make_unique<Program>(device, storage_, arena_,
                                       plan_program(lower(graph, lowering), device.backend(),
                                                    selection_for(device, recipe.training.precision)));
  initialize(storage_, network, 1);
  if (training) {
    std::array<float, Control::count> control{};
    control[Control::loss_scale] = loss_scale(recipe.training);
    control[Control::learning_rate] = 1e-4f;
    storage_.write(std::string(control_name), std::as_bytes(std::span(control)));
  }
  fill_inputs(device, *program_, random_batch(recipe, classes, batch, network.frames), recipe, classes,
              network.frames);
  program_->prepare();
  for (const auto& node : graph.nodes())
    for (const auto phase : {Phase::forward, Phase::backward}) {
      if (phase == Phase::backward && !(training && graph.tensor(node.outputs[0]).differentiable)) continue;
      const auto cost = cost_of(graph, node, phase);
      flops_ += cost.flops;
      bytes_ += cost.bytes;
    }
}

double Workload::sum_of_calls_us() {
  double seconds = 0;
  program_->run_timed([&](const PlannedStep&, double s) { seconds += s; });
  return 1e6 * seconds;
}

std::vector<Workload::Call> Workload::calls(int runs) {
  std::vector<Call> calls;
  std::vector<std::vector<double>> times;
  for (int run = 0; run < runs; ++run) {
    std::size_t at = 0;
    program_->run_timed([&](const PlannedStep& step, double seconds) {
      if (run == 0) {
        calls.push_back({step.name, step.call.variant, 0});
        times.emplace_back();
      }
      times[at++].push_back(1e6 * seconds);
    });
  }
  for (std::size_t i = 0; i < calls.size(); ++i) calls[i].us = summarize(times[i]).median;
  return calls;
}

std::size_t Workload::memory_bytes() const {
  const auto& plan = program_->plan();
  return plan.memory.arena_bytes + plan.input_bytes + plan.constant_bytes;
}

}  // namespace scrawl::bench
