#include "bench/models/workload.h"

#include "bench/measure.h"
#include "bench/random_batch.h"
#include "models/model.h"
#include "models/recognizer.h"

namespace scrawl::bench {

Workload::Workload(const Recipe& recipe, int classes, int batch, NetworkUse use, Device& device,
                   const Choices* choices)
    : device_(device),
      network_(build_network(recipe, classes, {batch, 0, longest_random_label}, use,
                             storage_type(recipe.training.precision))),
      storage_(device),
      arena_(device) {
  const bool training = use == NetworkUse::training;
  const auto graph = decompose(network_.graph, device.backend(), device.selection());
  LowerOptions lowering;
  if (training) {
    lowering.loss = graph.outputs().at("loss");
    lowering.optimizer = OptimizerSettings{.hyper = recipe.training.optimizer, .clip = 0, .decay = {}};
  }
  program_ =
      std::make_unique<Program>(device, storage_, arena_,
                                plan_program(lower(graph, lowering), device.backend(),
                                             selection_for(device, recipe.training.precision), choices));
  initialize(storage_, network_, 1);
  if (training) {
    storage_.set(Control::loss_scale, loss_scale(recipe.training));
    storage_.set(Control::learning_rate, 1e-4f);
  }
  fill_inputs(device, *program_, random_batch(recipe, classes, batch, network_.frames), recipe, classes,
              network_.frames);
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

double Workload::loss() {
  run();
  device_.synchronize();
  const auto view = program_->output("loss");
  float loss = 0;
  device_.download(std::as_writable_bytes(std::span(&loss, 1)), view.data);
  return loss;
}

void Workload::save(const std::filesystem::path& path) {
  auto tensors = weights_to_file(storage_, network_.graph);
  for (const std::string name : {"pixels", "labels", "label_lengths", "targets"}) {
    if (!program_->has_input(name)) continue;
    const auto view = program_->input(name);
    std::vector<std::byte> values(static_cast<std::size_t>(view.shape.count()) * size_of(view.type));
    device_.download(values, view.data);
    const auto& s = view.shape;
    tensors.push_back({name, view.type, s.rank == 4 ? Shape{s[0], s[2], s[3], s[1]} : s, std::move(values)});
  }
  write_safetensors(path, views_of(tensors));
}

std::size_t Workload::memory_bytes() const {
  const auto& plan = program_->plan();
  return plan.memory.arena_bytes + plan.input_bytes + plan.constant_bytes;
}

}  // namespace scrawl::bench
