#include "tests/graph/training_run.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace scrawl::testing {
namespace {

double as_double(const std::byte* element, DType type) {
  const auto load = [&]<class T>(T value) {
    std::memcpy(&value, element, sizeof value);
    return value;
  };
  switch (type) {
    case DType::f64:
      return load(double{});
    case DType::bf16:
      return static_cast<double>(static_cast<float>(load(bf16{})));
    case DType::f16:
      return static_cast<double>(static_cast<float>(load(f16{})));
    default:
      return static_cast<double>(load(float{}));
  }
}

}  // namespace

TrainingRun::TrainingRun(const Recipe& recipe, std::unique_ptr<Device> device, const RunOptions& options)
    : recipe_(recipe),
      classes_(options.classes),
      device_(std::move(device)),
      storage_(*device_),
      arena_(*device_) {
  auto selection = device_->selection();
  selection.f32_products = options.products;
  const auto& backend = device_->backend();
  const OptimizerSettings sgd{
      .hyper = {.kind = OptimizerKind::sgd, .momentum = 0.9f, .l2 = options.l2}, .clip = 0, .decay = {}};
  for (const auto width : options.widths) {
    const auto network = build_network(recipe_, classes_, {options.batch, width, options.longest_label},
                                       NetworkUse::training, options.type);
    const auto graph = options.fusion == Fusion::apart ? decompose_all(network.graph)
                                                       : decompose(network.graph, backend, selection);
    const LowerOptions lowering{
        .loss = graph.outputs().at("loss"), .optimizer = sgd, .seed = 5, .keep_gradients = true};
    shapes_.push_back({std::make_unique<Program>(*device_, storage_, arena_,
                                                 plan_program(lower(graph, lowering), backend, selection)),
                       network.frames});
    initialize(storage_, network, 3);
  }
  set_control(Control::loss_scale, options.loss_scale);
  set_control(Control::learning_rate, options.learning_rate);
}

void TrainingRun::fill(const Batch& batch, std::size_t width) {
  const auto& [program, frames] = shapes_[width];
  fill_inputs(*device_, *program, batch, recipe_, classes_, frames);
  if (!program->has_input(std::string(counters_name))) return;
  const std::array<std::int64_t, 2> counters{2, 100};
  device_->upload(program->input(std::string(counters_name)).data, std::as_bytes(std::span(counters)));
}

double TrainingRun::step(std::size_t width) {
  shapes_[width].program->run();
  return read(shapes_[width].program->output("loss"))[0];
}

std::map<std::string, Values> TrainingRun::gradients() const {
  std::map<std::string, Values> all;
  for (const auto& [name, value] : plan().outputs)
    if (name.starts_with("gradient/")) all[name] = read(shapes_[0].program->output(name));
  return all;
}

std::map<std::string, Values> TrainingRun::parameters() const {
  std::map<std::string, Values> all;
  for (const auto& tensor : plan().lowered.tensors)
    if (tensor.role == Role::parameter) all[tensor.name] = read(storage_.at(tensor.name));
  return all;
}

double TrainingRun::control(Control::Slot slot) const {
  return read(storage_.at(std::string(control_name)))[slot];
}

void TrainingRun::set_control(Control::Slot slot, float value) { storage_.set(slot, value); }

Values TrainingRun::read(const View& view) const {
  Values values(static_cast<std::size_t>(view.shape.count()));
  std::vector<std::byte> bytes(values.size() * size_of(view.type));
  device_->download(bytes, view.data);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = as_double(bytes.data() + i * size_of(view.type), view.type);
  return values;
}

double relative_distance(const Values& a, const Values& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

}  // namespace scrawl::testing
