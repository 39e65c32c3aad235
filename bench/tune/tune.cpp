#include "bench/tune/tune.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "bench/device_clock.h"
#include "bench/kernels/bench.h"
#include "bench/models/workload.h"
#include "kernels/error.h"
#include "models/network.h"

namespace scrawl::bench {

namespace {

Verdict verdict_of(const Comparison& c) {
  if (c.ours.p90 < c.peer_us.p10) return Verdict::faster;
  if (c.ours.p10 > c.peer_us.p90) return Verdict::slower;
  return Verdict::the_same;
}

/// A step's operands as its planner gets them: what it reads lies as it was written, and what it writes is
/// plain.
std::vector<View> operands_in(const ProgramPlan& plan, const Step& step) {
  auto operands = operands_of(plan.lowered, step);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const auto written = std::ranges::find(plan.values, step.tensors[i], &Value::tensor);
    if (step.access[i] != Access::write && written != plan.values.end()) operands[i] = written->view;
  }
  return operands;
}

/// The variants that take a call within a program, in order, whatever a name leaves unsaid: widths, priors,
/// what a forward keeps for its backward.
std::vector<std::string> variants_of(const ProgramPlan& plan, const Step& step, const Backend& backend,
                                     Selection selection) {
  std::vector<std::string> names;
  try {
    for (;;) {
      selection.without = names;
      auto operands = operands_in(plan, step);
      auto name = step.plan(backend, selection, operands).variant;
      names.push_back(std::move(name));
    }
  } catch (const ShapeError&) {  // nobody is left, or what is left cannot read what another wrote
    return names;
  }
}

class Tuning {
 public:
  Tuning(const Recipe& recipe, Device& device, const TuneSettings& settings,
         const std::function<void(const std::string&)>& tell)
      : recipe_(recipe),
        device_(device),
        settings_(settings),
        selection_(selection_for(device, recipe.training.precision)),
        numbers_(numbers_of(std::string(name_of(recipe.training.precision)))),
        bench_(device, report_,
               {.seconds = settings.seconds,
                .least = 10,
                .against = BenchSettings::Against::nobody,
                .torch = nullptr}),
        tell_(tell) {}

  Tuned run() {
    const char* const command[] = {"scrawl", "tune"};
    report_.header = describe_host(command);
    for (const auto use : {NetworkUse::training, NetworkUse::evaluation, NetworkUse::prediction}) {
      programs_.push_back(lowered(use));
      measure(plan_program(programs_.back(), device_.backend(), selection_), use);
    }
    leave_out_what_does_not_fit();
    Tuned tuned{.choices = kept(), .calls = {}, .wholes = {}};
    const bool is_other = std::ranges::any_of(
        calls_, [](const TunedCall& c) { return c.is_kept && c.choice.variant != c.first; });
    for (const auto& call : calls_)
      if (call.is_kept) tuned.predicted_gain_us += call.uses * call.gain_us();
    if (is_other) {
      tuned.wholes.push_back(whole("training step", NetworkUse::training, tuned.choices));
      tuned.wholes.push_back(whole("prediction", NetworkUse::prediction, tuned.choices));
    }
    tuned.calls = std::move(calls_);
    return tuned;
  }

 private:
  Lowered lowered(NetworkUse use) const {
    const auto network =
        build_network(recipe_, settings_.classes, {settings_.batch, 0, settings_.longest_label}, use,
                      storage_type(recipe_.training.precision));
    const auto graph = decompose(network.graph, device_.backend(), selection_);
    LowerOptions options;
    if (use == NetworkUse::training) {
      options.loss = graph.outputs().at("loss");
      options.optimizer =
          OptimizerSettings{.hyper = recipe_.training.optimizer, .clip = recipe_.training.clip, .decay = {}};
    }
    return lower(graph, options);
  }

  void measure(const ProgramPlan& plan, NetworkUse use) {
    std::map<std::string, std::string> first;
    for (const auto& step : plan.steps) first.emplace(step.key, step.call.variant);
    for (const auto& step : plan.lowered.steps) {
      const auto key = key_of(plan.lowered, step, selection_.f32_products);
      const auto known =
          std::ranges::find_if(calls_, [&](const TunedCall& c) { return c.choice.call == key; });
      if (known != calls_.end()) {
        known->uses += use == NetworkUse::training;
        continue;
      }
      if (auto call = measured(plan, step, key, first.at(key))) {
        call->uses = use == NetworkUse::training;
        calls_.push_back(*std::move(call));
      }
    }
  }

  /// None where there is nothing to choose from.
  std::optional<TunedCall> measured(const ProgramPlan& plan, const Step& step, const std::string& key,
                                    const std::string& first) {
    const auto takers = variants_of(plan, step, device_.backend(), selection_);
    const auto name = name_of_call(step.call_on(operands_of(plan.lowered, step)), numbers_);
    if (takers.size() < 2 || !name) return std::nullopt;
    const auto node = step.node < 0 ? "" : plan.lowered.nodes[static_cast<std::size_t>(step.node)] + " ";
    TunedCall call{.layer = node + step.call,
                   .name = name->text(),
                   .first = first,
                   .choice = {.call = key, .variant = first, .measured = {}}};
    tell_(fmt::format("{} by {}", call.name, fmt::join(takers, ", ")));
    for (const auto& time : times_of(*name)) {
      if (!time.wrong.empty()) call.note += fmt::format("{} is wrong: {}; ", time.variant, time.wrong);
      if (!time.wrong.empty() || std::ranges::find(takers, time.variant) == takers.end()) continue;
      call.choice.measured.push_back({time.variant, time.us.median, time.us.p10, time.us.p90});
    }
    if (std::ranges::find(call.choice.measured, first, &Choice::Time::variant) ==
        call.choice.measured.end()) {
      call.is_kept = false;
      call.note += fmt::format("{}, which takes it, could not be measured by itself", first);
      return call;
    }
    call.choice.variant = choose(call.choice.measured, first);
    return call;
  }

  /// Calls that differ in what no name says are measured once.
  const std::vector<VariantTime>& times_of(const Name& name) {
    const auto found = times_.find(name.text());
    return found != times_.end() ? found->second
                                 : times_.emplace(name.text(), bench_.compare_variants(name)).first->second;
  }

  Choices kept() const {
    std::vector<Choice> choices;
    for (const auto& call : calls_)
      if (call.is_kept) choices.push_back(call.choice);
    return {{.device = device_.name(),
             .processor = processor_of(device_),
             .libraries = device_.libraries(),
             .threads = selection_.threads,
             .commit = report_.header.commit,
             .date = report_.header.date,
             .recipe = recipe_.name,
             .batch = settings_.batch,
             .type = numbers_.name},
            choices};
  }

  /// Why the programs cannot be planned by what is kept; "" if they can.
  std::string refusal() const {
    const auto choices = kept();
    try {
      for (const auto& program : programs_) plan_program(program, device_.backend(), selection_, &choices);
    } catch (const Error& error) {  // of a choice, or of the call behind it
      return error.what();
    }
    return "";
  }

  /// A variant may refuse what another leaves it: an LSTM's backward takes the reserve of its own forward.
  /// What gains most is kept first.
  void leave_out_what_does_not_fit() {
    if (refusal().empty()) return;
    std::vector<TunedCall*> order;
    for (auto& call : calls_)
      if (call.is_kept) order.push_back(&call);
    std::ranges::stable_sort(order, std::greater(),
                             [](const TunedCall* call) { return call->uses * call->gain_us(); });
    for (auto* const call : order) call->is_kept = false;
    for (auto* const call : order) {
      call->is_kept = true;
      const auto why = refusal();
      if (why.empty()) continue;
      call->is_kept = false;
      call->note += fmt::format("does not fit beside the others: {}", why);
    }
  }

  Whole whole(const std::string& work, NetworkUse use, const Choices& choices) {
    tell_(fmt::format("the whole {}, with the choices and without", work));
    Workload with(recipe_, settings_.classes, settings_.batch, use, device_, &choices);
    Workload without(recipe_, settings_.classes, settings_.batch, use, device_);
    DeviceClock clock(device_);
    const auto timed = [&](Workload& one) {
      const auto run = [&one] { one.run(); };
      return Timed(run, clock, {.warmup = 2, .before = run});  // one step follows another
    };
    auto ours = timed(with), theirs = timed(without);
    const std::vector<Peer> peers{{"without", std::ref(theirs)}};
    const auto timing =
        compare(std::ref(ours), peers, {.seconds = settings_.step_seconds, .least = 10, .most = 200});
    return {.work = work, .timing = timing, .verdict = verdict_of(timing)};
  }

  const Recipe& recipe_;
  Device& device_;
  const TuneSettings& settings_;
  Selection selection_;
  Numbers numbers_;
  Report report_;
  Bench bench_;
  const std::function<void(const std::string&)>& tell_;
  std::vector<Lowered> programs_;
  std::vector<TunedCall> calls_;
  std::map<std::string, std::vector<VariantTime>> times_;
};

}  // namespace

const Choice::Time& TunedCall::time_of(const std::string& variant) const {
  return *std::ranges::find(choice.measured, variant, &Choice::Time::variant);
}

double TunedCall::gain_us() const { return time_of(first).us - time_of(choice.variant).us; }

bool Tuned::is_worth_it() const {
  const auto count = [&](Verdict verdict) { return std::ranges::count(wholes, verdict, &Whole::verdict); };
  return count(Verdict::faster) > 0 && count(Verdict::slower) == 0;
}

const std::string& choose(const std::vector<Choice::Time>& measured, const std::string& first) {
  const auto* const of_first = &*std::ranges::find(measured, first, &Choice::Time::variant);
  const auto* best = of_first;
  for (const auto& time : measured)
    if (time.p90 < of_first->p10 && time.us < best->us) best = &time;
  return best->variant;
}

Tuned tune(const Recipe& recipe, Device& device, const TuneSettings& settings,
           const std::function<void(const std::string&)>& tell) {
  if (device.name() == "simt")
    throw DeviceError(
        "tune: expected cpu or cuda, got simt: it counts what kernels do, and counts are no times");
  return Tuning(recipe, device, settings, tell).run();
}

}  // namespace scrawl::bench
