#pragma once
/// The harness of every kernel test: any call, on any backend, against the reference in double.
///
/// A case is a call whose views have no data. Inputs that a test does not give are random, drawn from the
/// case's name and rounded to their storage type. Outputs and workspaces start as NaN (every byte 0xff), and
/// each buffer lies between guards. Each backend runs a case under several settings (harness.cpp), twice in
/// each, from different poison: the bits must be the same. Observed over allowed error is printed.
///
/// A failure prints the command that repeats it. SCRAWL_CASE=<part of a name> restricts a program to the
/// cases whose names contain it; SCRAWL_EVERY=<n> to the first such case of each test and each nth after it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/reference/backend.h"
#include "tests/cases/case.h"
#include "tests/kernels/stage.h"
#include "tests/kernels/tolerance.h"

namespace scrawl::test {

/// A tensor without data, row-major, as cases describe operands.
inline View described(DType type, const Shape& shape) { return make_view(nullptr, type, shape); }
inline View optional(Optional given, DType type, const Shape& shape) {
  return given == Optional::present ? described(type, shape) : View{};
}

/// Every backend that is built; a new one is one line in harness.cpp.
std::vector<const Backend*> backends();

/// Those that do one of these calls.
template <class... Calls>
std::vector<const Backend*> backends_with() {
  auto all = backends();
  std::erase_if(all, [](const Backend* table) { return (!(table->*operation<Calls>.planner) && ...); });
  return all;
}

/// Whether a backend's kernels store this type.
bool stores(const Backend&, DType);

/// Where a planner finds the images of its call: as the test placed them, NHWC, or as the backend's
/// convolution leaves them.
enum class Images : std::uint8_t { as_given, channels_last, native };

struct Setting {
  Selection selection;
  Images images = Images::channels_last;
  Memory memory = Memory::apart;
};

std::string to_string(const Setting&);

/// The settings under which a backend runs cases, the usual one first.
const std::vector<Setting>& settings(const Backend&);

struct Observed {
  std::string variant;
  Values outputs;
  std::vector<std::string> problems;  ///< trespasses, and bits that a second run does not repeat
};

struct Report {
  std::vector<std::string> problems;
  double worst = 0;  ///< largest observed over allowed error
};

/// Random values for the operands in `operands` that are read and not in `given`; all rounded to their types.
/// Throws InternalError for a missing integer operand: its values mean something.
Values complete(std::string_view case_name, const std::vector<Bound>& operands, Values given);

/// The same with integers from -2 to 2, whose sums of products are exact in f32: index tests.
Values small_integers(std::string_view case_name, const std::vector<Bound>& operands, Values given);

/// Valid widths or lengths that differ: all of `extent` first, then shorter ones, 0 among them.
Tensor ragged(std::int64_t samples, std::int64_t extent);

/// Places images as the setting says, and gives the reserve (lstm.h) the extent of its values.
void start(const Backend&, const Setting&, const std::vector<Bound>& operands, const Values& inputs);

/// Whether two runs wrote the same, bit for bit; what differs is added to `problems`.
void expect_repeated(const Values& first, const Values& second, std::vector<std::string>& problems);

enum class Runs : std::uint8_t { once, twice };

/// Plans the call and runs it, once with loops shared among threads and once on one: the bits must be the
/// same. The errors of its planner are passed on.
template <class Call>
Observed observe(const Backend& backend, const Setting& setting, Call call, const Values& inputs,
                 Runs runs = Runs::twice) {
  start(backend, setting, bound(call), inputs);
  const Plan<Call> plan = (backend.*operation<Call>.planner)(call, setting.selection);
  Stage stage(backend, bound(call), plan.workspace_bytes, setting.memory);
  Observed observed{.variant = plan.variant};
  auto& sharing = cpu::Sharing::current();
  for (const auto poison : {std::byte{0x3c}, std::byte{0xff}}) {
    if (runs == Runs::once && poison == std::byte{0x3c}) continue;
    stage.set(inputs, poison);
    sharing.set(observed.outputs.empty() ? cpu::Sharing::Policy::always : cpu::Sharing::Policy::never);
    plan.run(call, stage.workspace(), stage.stream());
    auto outputs = stage.outputs();
    if (!observed.outputs.empty()) expect_repeated(observed.outputs, outputs, observed.problems);
    observed.outputs = std::move(outputs);
  }
  sharing.set(cpu::Sharing::Policy::measured);
  for (auto& trespass : stage.trespasses()) observed.problems.push_back(std::move(trespass));
  return observed;
}

/// What the reference makes of the call, all in double.
template <class Call>
Values specified(Call call, const Values& inputs) {
  for (const auto& operand : bound(call)) {
    if (is_float(operand.view->type)) operand.view->type = DType::f64;
    make_plain(*operand.view, Order::row_major);
  }
  return observe(reference::backend(), {.images = Images::as_given}, call, inputs, Runs::once).outputs;
}

/// |y - r| <= 2 u |r| + 4 sqrt(terms) u_f32 (|A| |B|): a sum of products in f32, stored once. `linear` is the
/// call without its nonlinearity, so that the reference on |inputs| gives |A| |B|. `floor` is for what a
/// nonlinearity adds.
template <class Call>
ToleranceRule sum_of_products(Call linear, double terms, double floor = 0) {
  return [=](const Values& inputs, const Values&) {
    Tolerances tolerances;
    for (auto& [name, magnitude] : specified(linear, absolute(inputs))) {
      for (double& value : magnitude.values())
        value = floor + 4 * std::sqrt(terms) * unit_roundoff(DType::f32) * value;
      tolerances[name] = {.ulps = 2, .absolute = std::move(magnitude)};
    }
    return tolerances;
  };
}

/// Compares outputs with the reference's; what is off is added to the report.
void judge(const std::vector<Bound>& operands, const Values& expected, const Values& got, const Tolerances&,
           std::string_view where, Report&);

/// Whether some output may take the place of an input.
template <class Call>
bool may_run_in_place() {
  return std::ranges::any_of(operation<Call>.operands, [](const auto& o) { return !o.in_place_of.empty(); });
}

/// Runs a case under every setting of a backend.
template <class Call>
Report agree(
    const Backend& backend, std::string_view case_name, Call call, const Values& given,
    const ToleranceRule& rule = [](const Values&, const Values&) { return Tolerances{}; },
    const std::vector<Setting>* under = nullptr) {
  const Values inputs = complete(case_name, bound(call), given);
  const Values expected = specified(call, inputs);
  const Tolerances tolerances = rule ? rule(inputs, expected) : Tolerances{};
  Report report;
  std::string usual_variant;
  for (const auto& setting : under ? *under : settings(backend)) {
    if (setting.memory == Memory::in_place && !may_run_in_place<Call>()) continue;
    Observed observed;
    try {
      observed = observe(backend, setting, call, inputs);
    } catch (const Unsupported& unsupported) {
      if (setting.selection.kernels == KernelSet::automatic) report.problems.emplace_back(unsupported.what());
      continue;  // one kind of kernels need not take every call
    } catch (const DeviceError& broken) {
      report.problems.push_back(
          fmt::format("{} on {} with {}: {}", case_name, backend.name, to_string(setting), broken.what()));
      continue;
    }
    if (setting.selection.kernels == KernelSet::automatic)
      usual_variant = observed.variant;
    else if (observed.variant == usual_variant)
      continue;
    const auto where =
        fmt::format("{} on {}/{} with {}", case_name, backend.name, observed.variant, to_string(setting));
    for (const auto& problem : observed.problems)
      report.problems.push_back(fmt::format("{}: {}", where, problem));
    judge(bound(call), expected, observed.outputs, tolerances, where, report);
  }
  return report;
}

/// Whether SCRAWL_CASE and SCRAWL_EVERY let a case run.
bool selected(std::string_view case_name);

/// The command that repeats a case.
std::string repro(std::string_view case_name);

/// A test on each backend: `using Pool = EveryBackend; TEST_P(Pool, ...)`.
class EveryBackend : public testing::TestWithParam<const Backend*> {
 protected:
  /// A name that no case has must not look like cases that pass.
  void TearDown() override {
    if (asked_ > 0 && selected_ == 0) GTEST_SKIP() << "no case is selected";
  }

  /// Fails the test unless the backend agrees with the reference. Passes over calls of types that it does not
  /// store.
  template <class Call>
  void expect_agreement(
      const std::string& case_name, const Call& call, const Values& given,
      const ToleranceRule& rule = [](const Values&, const Values&) { return Tolerances{}; },
      const std::vector<Setting>* under = nullptr) const {
    if (!has<Call>()) GTEST_SKIP() << backend().name << " lacks " << operation<Call>.name;
    Call copy = call;
    const auto is_stored = [&](const Bound& operand) { return stores(backend(), operand.view->type); };
    ++asked_;
    if (!selected(case_name)) return;
    ++selected_;
    if (!std::ranges::all_of(bound(copy), is_stored)) return;
    const Report report = agree(backend(), case_name, call, given, rule, under);
    for (const auto& problem : report.problems)
      ADD_FAILURE() << problem << "\n  repeat: " << repro(case_name);
  }

  template <class Call>
  bool has() const {
    return backend().*operation<Call>.planner != nullptr;
  }

  const Backend& backend() const { return *GetParam(); }

  /// The usual one.
  const Setting& setting() const { return settings(backend()).front(); }

 private:
  mutable int asked_ = 0, selected_ = 0;  ///< cases
};

/// For INSTANTIATE_TEST_SUITE_P.
inline std::string backend_name(const testing::TestParamInfo<const Backend*>& info) {
  return std::string(info.param->name);
}

}  // namespace scrawl::test
