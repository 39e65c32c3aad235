#include "models/training.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

#include "models/data/loader.h"
#include "models/model.h"
#include "models/stop_signal.h"
#include "models/warm_start.h"
#include "runtime/device/choices.h"
#include "runtime/device/ranges.h"
#include "runtime/io/events.h"
#include "runtime/io/file.h"
#include "runtime/io/progress.h"
#include "runtime/io/results_csv.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/fingerprint.h"

namespace scrawl {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Everything about a run's progress that a checkpoint must bring back.
struct Progressed {
  std::int64_t step = 0, position = 0, step_in_epoch = 0;
  int epoch = 0;  ///< epochs done
  double loss_sum = 0;
  std::int64_t losses = 0;
  double best_error = std::numeric_limits<double>::infinity();
  int best_epoch = 0;
  double seconds = 0;
  nlohmann::json best = nlohmann::json::object();
};

nlohmann::json to_json(const Progressed& p) {
  return {{"position", p.position},
          {"step_in_epoch", p.step_in_epoch},
          {"epoch", p.epoch},
          {"loss_sum", p.loss_sum},
          {"losses", p.losses},
          {"best_epoch", p.best_epoch},
          {"seconds", p.seconds},
          {"best", p.best},
          {"best_error", p.best_epoch ? nlohmann::json(p.best_error) : nlohmann::json()}};
}

Progressed progressed_from(const Checkpoint& checkpoint) {
  const auto& s = checkpoint.state;
  Progressed p{.step = checkpoint.step};
  s.at("position").get_to(p.position);
  s.at("step_in_epoch").get_to(p.step_in_epoch);
  s.at("epoch").get_to(p.epoch);
  s.at("loss_sum").get_to(p.loss_sum);
  s.at("losses").get_to(p.losses);
  s.at("best_epoch").get_to(p.best_epoch);
  s.at("seconds").get_to(p.seconds);
  p.best = s.at("best");
  if (!s.at("best_error").is_null()) s.at("best_error").get_to(p.best_error);
  return p;
}

/// The first lines in which two texts differ.
std::pair<std::string, std::string> first_difference(const std::string& a, const std::string& b) {
  std::istringstream of_a(a), of_b(b);
  std::string in_a, in_b;
  do {
    if (!std::getline(of_a, in_a)) in_a = "nothing";
    if (!std::getline(of_b, in_b)) in_b = "nothing";
  } while (in_a == in_b && of_a && of_b);
  const auto trimmed = [](const std::string& line) {
    return line.substr(std::min(line.find_first_not_of(' '), line.size()));
  };
  return {trimmed(in_a), trimmed(in_b)};
}

class Trainer {
 public:
  Trainer(const TrainingOptions& options, Device& device)
      : options_(options),
        device_(device),
        selection_(selection_for(device, settings().precision)),
        storage_(device),
        arena_(device) {
    open_directory();
    open_data();
    choose_alphabet();
    make_batches();
    build();
    if (options_.start == TrainingOptions::Start::resume)
      restore();
    else
      begin();
  }

  TrainingResult run() {
    fmt::print(stderr, "{}", recipe_.effective);
    if (options_.start == TrainingOptions::Start::fresh) save();  // from here on, --resume always can
    const auto metrics = metric_names();
    ResultsCsv csv(options_.out / "results.csv", metrics, done_.epoch);
    EventWriter::Options events_options;
    if (done_.step) events_options.resumed_step = done_.step;
    EventWriter events(options_.out, events_options);
    Loader loader(train_batches_, {.workers = recipe_.training.workers, .position = done_.position});
    last_checkpoint_ = Clock::now();

    while (!finished()) {
      const bool whole = run_epoch(loader);
      if (!whole) {
        save();
        return result(stop_.caught());
      }
      finish_epoch(csv, events, metrics);
      if (stop_.caught()) return result(stop_.caught());
    }
    return result(0);
  }

 private:
  const TrainingSettings& settings() const { return recipe_.training; }
  std::int64_t steps_per_epoch() const { return train_batches_->batches(); }

  void open_directory() {
    const auto checkpoints = options_.out / "checkpoints", weights = options_.out / "weights";
    if (options_.start == TrainingOptions::Start::fresh) make_directories(weights);
    if (fs::exists(options_.out)) lock_.emplace(options_.out);
    for (const auto& folder : {options_.out, weights}) remove_leftovers(folder);
    const auto latest = latest_checkpoint(checkpoints);
    if (options_.start == TrainingOptions::Start::resume) {
      if (!latest)
        throw UsageError("{}: nothing to resume: expected a checkpoint in {}", options_.out.string(),
                         checkpoints.string());
      try {
        checkpoint_ = load_checkpoint(*latest);
      } catch (const DataError& error) {
        throw DataError("{}; without {} the run continues from the checkpoint before it, if there is one",
                        error.what(), latest->string());
      }
      require_same_fingerprint(recorded<nlohmann::json>("fingerprint"), fingerprint());
      if (const auto begun_with = recorded<std::string>("recipe"); begun_with != recipe_.effective) {
        const auto [expected, got] = first_difference(begun_with, recipe_.effective);
        throw UsageError(
            "{}: a resumed run keeps the settings that it began with (config.toml there): expected {}, got "
            "{}; "
            "--load begins a new run with its weights",
            options_.out.string(), expected, got);
      }
      return;
    }
    // Without either, a run was ended before there was anything to keep.
    if (latest || fs::exists(weights / "last.safetensors"))
      throw UsageError("{}: holds a run already; {}--out names another folder", options_.out.string(),
                       latest ? "--resume continues it, " : "");
    write_file_atomically(options_.out / "config.toml", recipe_.effective);
  }

  Fingerprint fingerprint() const {
    auto now = current_fingerprint(selection_, device_.libraries());
    if (const auto* const choices = device_.choices()) {
      now.choices = choices->hash();
      now.choices_file = choices->source();
    }
    return now;
  }

  /// A value that the checkpoint's state must have.
  template <class T>
  T recorded(const std::string& key) const {
    try {
      return checkpoint_->state.at(key).template get<T>();
    } catch (const nlohmann::json::exception& error) {
      throw DataError("{}: checkpoint of step {}: {}: {}", options_.out.string(), checkpoint_->step, key,
                      error.what());
    }
  }

  void open_data() {
    if (recipe_.data_path.empty()) throw UsageError("no data: give --data PATH, or data.path in the recipe");
    auto data = recipe_.data;
    data.bad = options_.bad;
    dataset_ = std::make_shared<const Dataset>(open_dataset(recipe_.data_path, data));
    if (!dataset_->skipped().empty())
      for (const auto& [reason, count] : count_by_reason(dataset_->skipped()))
        spdlog::warn("{}: {} samples left out: {}", dataset_->name(), count, reason);
    if (checkpoint_ && recorded<std::string>("data") != dataset_->digest())
      throw UsageError("{}: the data set is not the one that the run began with: expected {}, got {}",
                       dataset_->name(), recorded<std::string>("data"), dataset_->digest());
  }

  void choose_alphabet() {
    std::optional<Alphabet> of_weights;
    if (!options_.load.empty()) {
      loaded_path_ = find_model(options_.load).string();
      loaded_ = read_safetensors(loaded_path_);
      loaded_alphabet_ = of_weights = description_from_json(loaded_->metadata, loaded_path_).alphabet;
    }
    const auto own =
        recipe_.target == Target::single
            ? Alphabet(dataset_->classes(), Target::single, recipe_.normalisation)
            : Alphabet::of_labels(dataset_->labels(Split::train), Target::sequence, recipe_.normalisation);
    alphabet_ = alphabet_for(own, of_weights, options_.alphabet);
    if (checkpoint_) alphabet_ = Alphabet::from_json(checkpoint_->weights.metadata.at("alphabet").dump());
  }

  void make_batches() {
    const auto& t = settings();
    BatchOptions train{.preparation = recipe_.input,
                       .pass = Pass::train,
                       .size = t.batch,
                       .seed = t.seed,
                       .augmentation = recipe_.augmentation,
                       .balance = t.balance,
                       .bad = options_.bad};
    if (recipe_.target == Target::sequence)
      train.frames = [this](int width) { return frames_of(recipe_, width); };
    train_batches_ =
        std::make_shared<BatchMaker>(dataset_, dataset_->indices(Split::train), *alphabet_, train);
    const auto validation = dataset_->indices(Split::validation);
    if (validation.empty())
      throw DataError(
          "{}: no validation samples: expected a validation split, or data.validation_fraction > 0",
          dataset_->name());
    validation_batches_ =
        evaluation_batches(dataset_, validation, recipe_, *alphabet_, t.batch, options_.bad);
    warn_of_skipped();
  }

  /// Of samples that turned out to be unusable since the last time.
  void warn_of_skipped() {
    const auto warn = [&](const BatchMaker& batches, std::size_t& known, std::string_view what) {
      const auto skipped = batches.skipped();
      for (const auto& [reason, count] :
           count_by_reason({skipped.begin() + static_cast<std::ptrdiff_t>(known), skipped.end()}))
        spdlog::warn("{}: {} {} samples left out: {}", dataset_->name(), count, what, reason);
      known = skipped.size();
    };
    warn(*train_batches_, train_skipped_, "training");
    warn(*validation_batches_, validation_skipped_, "validation");
  }

  void build() {
    std::int64_t longest = 1;
    for (const auto& label : dataset_->labels(Split::train))
      longest = std::max(longest, static_cast<std::int64_t>(alphabet_->encode_known(label).size()));
    const auto type = storage_type(settings().precision);
    network_ = build_network(recipe_, alphabet_->classes(), {settings().batch, 0, longest},
                             NetworkUse::training, type);
    const LowerOptions lowering{
        .loss = network_.loss,
        .optimizer = OptimizerSettings{.hyper = settings().optimizer, .clip = settings().clip, .decay = {}},
        .seed = static_cast<std::uint32_t>(settings().seed)};
    program_ = std::make_unique<Program>(
        device_, storage_, arena_,
        plan_program(network_.graph, lowering, device_.backend(), selection_, device_.choices()));
    tell_choices();
    recognizer_ =
        std::make_unique<Recognizer>(device_, storage_, arena_, recipe_, *alphabet_, settings().precision);
  }

  /// A file for another batch, other labels or another precision knows few calls, and is slow in silence.
  void tell_choices() const {
    if (!device_.choices()) return;
    const auto& steps = program_->plan().steps;
    const auto known = std::ranges::count(steps, true, &PlannedStep::is_chosen);
    const auto message = fmt::format("{}: names the variants of {} of the step's {} calls",
                                     device_.choices()->source(), known, steps.size());
    spdlog::log(known ? spdlog::level::info : spdlog::level::warn, "{}", message);
  }

  void begin() {
    initialize(storage_, network_, settings().seed);
    if (storage_.contains("log_priors")) set_log_priors();
    if (loaded_)
      load_weights(storage_, network_.graph, recipe_.layers.back().name, std::move(*loaded_),
                   *loaded_alphabet_, *alphabet_, loaded_path_);
    storage_.set(Control::loss_scale, loss_scale(settings()));
  }

  /// tau log(share of the class): added to the logits in training only, it makes rare classes cost more.
  void set_log_priors() {
    std::vector<double> counts(static_cast<std::size_t>(alphabet_->classes()), 0.5);
    for (const auto& label : dataset_->labels(Split::train))
      ++counts[static_cast<std::size_t>(alphabet_->encode(label).at(0))];
    double sum = 0;
    for (const auto c : counts) sum += c;
    std::vector<float> priors;
    for (const auto c : counts)
      priors.push_back(static_cast<float>(settings().prior_correction * std::log(c / sum)));
    storage_.write("log_priors", std::as_bytes(std::span(priors)));
  }

  void restore() {
    weights_from_file(storage_, network_.graph, checkpoint_->weights, "checkpoint");
    for (const auto& tensor : checkpoint_->optimizer.tensors) storage_.write(tensor.name, tensor.bytes);
    try {
      done_ = progressed_from(*checkpoint_);
    } catch (const nlohmann::json::exception& error) {
      throw DataError("{}: checkpoint of step {}: {}", options_.out.string(), checkpoint_->step,
                      error.what());
    }
    gradient_norm_ = control()[Control::gradient_norm];
    checkpoint_.reset();
  }

  std::array<float, Control::count> control() {
    std::array<float, Control::count> values;
    device_.synchronize();
    device_.download(std::as_writable_bytes(std::span(values)), storage_.at(std::string(control_name)).data);
    return values;
  }

  double progress() const {
    if (settings().minutes > 0) return seconds_so_far() / (60 * settings().minutes);
    return static_cast<double>(done_.step) / static_cast<double>(steps_per_epoch() * settings().epochs);
  }

  double seconds_so_far() const { return done_.seconds + (epoch_start_ ? seconds_since(*epoch_start_) : 0); }

  bool out_of_time() const { return settings().minutes > 0 && seconds_so_far() >= 60 * settings().minutes; }

  bool finished() const {
    const bool stalled = settings().patience > 0 && done_.epoch - done_.best_epoch >= settings().patience;
    if (stalled) spdlog::info("no better validation for {} epochs: stopping early", settings().patience);
    return stalled || done_.epoch >= settings().epochs || (done_.epoch > 0 && out_of_time());
  }

  /// False if a signal ended it before the epoch's end.
  bool run_epoch(Loader& loader) {
    epoch_start_ = Clock::now();
    const auto steps = steps_per_epoch();
    const double waited_before = loader.seconds_waited();
    const std::int64_t first_step = done_.step_in_epoch;
    Progress line(fmt::format("epoch {}/{}", done_.epoch + 1, settings().epochs), steps * settings().batch,
                  {.already_done = first_step * settings().batch});
    while (done_.step_in_epoch < steps && !out_of_time()) {
      if (stop_.caught()) {
        pause_clock();
        return false;
      }
      step(loader);
      if (seconds_since(last_checkpoint_) > 60 * settings().checkpoint_minutes) save();
      line.update(done_.step_in_epoch * settings().batch, "loss {:.4f}  {}wait {:.1f}%  total {}",
                  mean_loss(), shown_error(),
                  100 * (loader.seconds_waited() - waited_before) / seconds_since(*epoch_start_),
                  shown_time_left());
    }
    epoch_seconds_ = seconds_since(*epoch_start_);
    epoch_images_ = (done_.step_in_epoch - first_step) * settings().batch;
    data_wait_ = epoch_seconds_ > 0 ? (loader.seconds_waited() - waited_before) / epoch_seconds_ : 0;
    pause_clock();
    line.finish(done_.step_in_epoch * settings().batch, "loss {:.4f}  wait {:.1f}%", mean_loss(),
                100 * data_wait_);
    return true;
  }

  void pause_clock() {
    done_.seconds = seconds_so_far();
    epoch_start_.reset();
  }

  double mean_loss() const { return done_.losses ? done_.loss_sum / static_cast<double>(done_.losses) : 0; }

  std::string shown_error() const {
    if (!done_.best_epoch) return "";
    return fmt::format("{} {:.2f}%  ", recipe_.target == Target::sequence ? "cer" : "error",
                       100 * done_.best_error);
  }

  std::string shown_time_left() const {
    const double p = progress();
    const double left = p > 1e-6 ? seconds_so_far() * std::max(0.0, 1 - p) / p : 0;
    return format_duration(std::chrono::seconds(static_cast<std::int64_t>(left)));
  }

  /// Waits for the next batch and copies it to the device: the position of the sample that follows it.
  std::int64_t take_batch(Loader& loader) {
    const Range range("data");
    const Batch batch = *loader.next();
    fill_inputs(device_, *program_, batch, recipe_, alphabet_->classes(), network_.frames);
    if (program_->has_input(std::string(counters_name))) {
      const std::array<std::int64_t, 2> counters{done_.step, batch.first_global_sample};
      device_.upload(program_->input(std::string(counters_name)).data, std::as_bytes(std::span(counters)));
    }
    return batch.next_position;
  }

  void step(Loader& loader) {
    const Range range("step");
    const auto next_position = take_batch(loader);
    storage_.set(Control::learning_rate, static_cast<float>(settings().schedule.rate(progress())));
    program_->run();
    const auto state = control();
    ++done_.step;
    ++done_.step_in_epoch;
    done_.position = next_position;
    gradient_norm_ = state[Control::gradient_norm];
    if (state[Control::skip] == 0) {
      done_.loss_sum += state[Control::loss];
      ++done_.losses;
      return;
    }
    spdlog::warn("step {}: loss {}, gradient norm {}: not finite, step skipped", done_.step,
                 state[Control::loss], gradient_norm_);
    if (state[Control::skipped_in_a_row] >= most_skipped)
      throw DivergedError(
          "training diverged: {} steps in a row without a finite loss; the last checkpoint is in {}; a lower "
          "learning rate or clipping may help{}",
          most_skipped, (options_.out / "checkpoints").string(),
          settings().precision == Precision::f16 ? ", or a smaller training.loss_scale" : "");
  }

  std::vector<std::string> metric_names() const {
    std::vector<std::string> names{"train_loss", "val_loss"};
    if (recipe_.target == Target::sequence)
      names.insert(names.end(), {"val_cer", "val_wer", "val_exact"});
    else
      names.insert(names.end(), {"val_accuracy", "val_f1_macro"});
    names.insert(names.end(),
                 {"learning_rate", "gradient_norm", "images_per_second", "data_wait", "seconds"});
    return names;
  }

  void finish_epoch(ResultsCsv& csv, EventWriter& events, const std::vector<std::string>& names) {
    recognizer_->weights_changed();
    warn_of_skipped();
    const auto validation = evaluate(*recognizer_, validation_batches_,
                                     {.workers = settings().workers, .progress = {}, .stop = {}});
    const auto json = scrawl::to_json(validation, dataset_->name(), "validation");
    ++done_.epoch;
    const double rate = epoch_seconds_ > 0 ? static_cast<double>(epoch_images_) / epoch_seconds_ : 0;
    std::vector<double> values{mean_loss(), validation.loss};
    if (validation.text)
      values.insert(values.end(), {validation.text->cer(), validation.text->wer(), validation.text->exact()});
    else
      values.insert(values.end(), {validation.classes->accuracy(), validation.classes->macro().f1});
    values.insert(values.end(),
                  {settings().schedule.rate(progress()), gradient_norm_, rate, data_wait_, done_.seconds});
    csv.append(done_.epoch, values);
    for (std::size_t i = 0; i < names.size(); ++i)
      events.scalar(names[i], done_.step, static_cast<float>(values[i]));
    spdlog::info(
        "epoch {}: train loss {:.4f}, validation loss {:.4f}, {}, {:.0f} images/s, data wait {:.1f}%",
        done_.epoch, mean_loss(), validation.loss,
        validation.text ? fmt::format("CER {:.2f}%, WER {:.2f}%", 100 * validation.text->cer(),
                                      100 * validation.text->wer())
                        : fmt::format("accuracy {:.2f}%", 100 * validation.classes->accuracy()),
        rate, 100 * data_wait_);
    if (validation.error() < done_.best_error) {
      done_.best_error = validation.error();
      done_.best_epoch = done_.epoch;
      done_.best = json;
      write_weights("best", json);
    }
    write_weights("last", json);
    done_.step_in_epoch = 0;
    done_.loss_sum = 0;
    done_.losses = 0;
    save();
  }

  nlohmann::json description(const nlohmann::json& metrics) const {
    return scrawl::to_json(ModelDescription{recipe_, *alphabet_, metrics});
  }

  void write_weights(const std::string& which, const nlohmann::json& metrics) {
    const auto weights = weights_to_file(storage_, network_.graph);
    write_safetensors(options_.out / "weights" / (which + ".safetensors"), views_of(weights),
                      description(metrics));
  }

  void save() {
    const auto weights = weights_to_file(storage_, network_.graph);
    std::vector<StoredTensor> optimizer;
    for (const auto& name : storage_.names()) {
      if (!name.starts_with("optimizer/") && name != control_name && name != "log_priors") continue;
      const auto view = storage_.at(name);
      optimizer.push_back({name, view.type, view.shape, storage_.read(name)});
    }
    auto now = done_;
    now.seconds = seconds_so_far();
    auto state = to_json(now);
    state["recipe"] = recipe_.effective;
    state["fingerprint"] = fingerprint();
    state["data"] = dataset_->digest();
    const auto weight_views = views_of(weights), optimizer_views = views_of(optimizer);
    save_checkpoint(options_.out / "checkpoints", done_.step,
                    {.weights = weight_views,
                     .metadata = description(done_.best),
                     .optimizer = optimizer_views,
                     .state = state});
    prune_checkpoints(options_.out / "checkpoints", 2);
    last_checkpoint_ = Clock::now();
  }

  TrainingResult result(int signal) const {
    return {.epochs = done_.epoch,
            .best_epoch = done_.best_epoch,
            .best = done_.best,
            .seconds = done_.seconds,
            .signal = signal,
            .weights = options_.out / "weights" / "best.safetensors"};
  }

  TrainingOptions options_;
  const Recipe& recipe_ = options_.recipe;
  Device& device_;
  Selection selection_;
  std::optional<FolderLock> lock_;
  StopSignal stop_;
  Storage storage_;
  Arena arena_;
  std::optional<Checkpoint> checkpoint_;
  std::shared_ptr<const Dataset> dataset_;
  std::optional<Alphabet> alphabet_, loaded_alphabet_;
  std::optional<TensorFile> loaded_;
  std::string loaded_path_;
  std::shared_ptr<BatchMaker> train_batches_, validation_batches_;
  std::size_t train_skipped_ = 0, validation_skipped_ = 0;  ///< samples that were warned of
  Network network_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Recognizer> recognizer_;

  Progressed done_;
  std::optional<Clock::time_point> epoch_start_;
  Clock::time_point last_checkpoint_;
  double epoch_seconds_ = 0, data_wait_ = 0;
  std::int64_t epoch_images_ = 0;
  float gradient_norm_ = 0;
};

}  // namespace

TrainingResult train(const TrainingOptions& options, Device& device) {
  return Trainer(options, device).run();
}

}  // namespace scrawl
