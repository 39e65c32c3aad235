#include "bench/profile/training_step.h"

#include <array>

#include "bench/random_batch.h"
#include "models/recognizer.h"
#include "runtime/device/ranges.h"

namespace scrawl::bench {

TrainingStep::TrainingStep(const Recipe& recipe, int classes, Device& device)
    : recipe_(recipe), classes_(classes), device_(device), storage_(device), arena_(device) {
  const auto selection = selection_for(device, recipe_.training.precision);
  std::int64_t longest_label = longest_random_label;
  if (!recipe_.data_path.empty()) {
    open_data();
    longest_label = 1;
    for (const auto& label : dataset_->labels(Split::train))
      longest_label =
          std::max(longest_label, static_cast<std::int64_t>(alphabet_->encode_known(label).size()));
  }
  network_ = build_network(recipe_, classes_, {recipe_.training.batch, 0, longest_label},
                           NetworkUse::training, storage_type(recipe_.training.precision));
  graph_ = decompose(network_.graph, device.backend(), device.selection());
  LowerOptions lowering{.loss = graph_.outputs().at("loss"),
                        .seed = static_cast<std::uint32_t>(recipe_.training.seed)};
  lowering.optimizer =
      OptimizerSettings{.hyper = recipe_.training.optimizer, .clip = recipe_.training.clip, .decay = {}};
  program_ = std::make_unique<Program>(device, storage_, arena_,
                                       plan_program(lower(graph_, lowering), device.backend(), selection));
  initialize(storage_, network_, recipe_.training.seed);
  std::array<float, Control::count> control{};
  control[Control::loss_scale] = loss_scale(recipe_.training);
  control[Control::learning_rate] = static_cast<float>(recipe_.training.schedule.rate(0));
  storage_.write(std::string(control_name), std::as_bytes(std::span(control)));
  if (!has_data())
    fill_inputs(device, *program_, random_batch(recipe_, classes_, recipe_.training.batch, network_.frames),
                recipe_, classes_, network_.frames);
}

void TrainingStep::open_data() {
  const auto& t = recipe_.training;
  dataset_ = std::make_shared<const Dataset>(open_dataset(recipe_.data_path, recipe_.data));
  alphabet_ =
      recipe_.target == Target::single
          ? Alphabet(dataset_->classes(), Target::single, recipe_.normalisation)
          : Alphabet::of_labels(dataset_->labels(Split::train), Target::sequence, recipe_.normalisation);
  classes_ = alphabet_->classes();
  BatchOptions options{.preparation = recipe_.input,
                       .pass = Pass::train,
                       .size = t.batch,
                       .seed = t.seed,
                       .augmentation = recipe_.augmentation,
                       .balance = t.balance};
  if (recipe_.target == Target::sequence)
    options.frames = [this](int width) { return frames_of(recipe_, width); };
  batches_ =
      std::make_shared<BatchMaker>(dataset_, dataset_->indices(Split::train), *alphabet_, std::move(options));
  loader_ = std::make_unique<Loader>(batches_, LoaderOptions{.workers = t.workers});
}

std::string TrainingStep::data() const {
  return has_data() ? fmt::format("{}, {} samples", dataset_->name(), batches_->samples()) : "random samples";
}

StepTimes TrainingStep::run(CallWatch* watch) {
  StepTimes times;
  const Range range("step");
  times.step.begin = times.data.begin = steady_us();
  {
    const Range taking("data");
    std::array<std::int64_t, 2> counters{step_, random_samples_};
    if (has_data()) {
      const Batch batch = *loader_->next();
      fill_inputs(device_, *program_, batch, recipe_, classes_, network_.frames);
      counters[1] = batch.first_global_sample;
    }
    if (program_->has_input(std::string(counters_name)))
      device_.upload(program_->input(std::string(counters_name)).data, std::as_bytes(std::span(counters)));
  }
  times.data.end = steady_us();
  const auto rate = static_cast<float>(recipe_.training.schedule.rate(0));
  auto* const control = storage_.at(std::string(control_name)).as<float>();
  device_.upload(control + Control::learning_rate, std::as_bytes(std::span(&rate, 1)));
  if (watch)
    program_->run(*watch);
  else
    program_->run();
  times.wait.begin = steady_us();
  device_.synchronize();
  times.wait.end = steady_us();
  std::array<float, Control::count> state;
  device_.download(std::as_writable_bytes(std::span(state)), control);
  times.step.end = steady_us();
  ++step_;
  random_samples_ += recipe_.training.batch;
  return times;
}

}  // namespace scrawl::bench
