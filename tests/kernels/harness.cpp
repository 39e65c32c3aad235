#include "tests/kernels/harness.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "kernels/cpu/backend.h"

namespace scrawl::test {
namespace {

std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

bool is_image(const Bound& operand) {
  static constexpr std::string_view names[] = {"x", "y", "dx", "dy", "a", "b", "argmax"};
  return operand.view->shape.rank == 4 && std::ranges::find(names, operand.name) != std::end(names);
}

/// The placement that the backend's convolution would give an image: channels_last where it has none.
void place_natively(const Backend& backend, const Selection& selection, View& view) {
  make_plain(view, Order::channels_last);
  if (!backend.conv2d_forward || view.shape.count() == 0) return;
  const auto type = is_float(view.type) ? view.type : DType::f32;
  const auto channels = view.shape[1];
  Conv2dForward probe{.params = {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1},
                      .x = make_view(nullptr, type, view.shape, Order::channels_last),
                      .w = make_view(nullptr, type, {channels, channels, 3, 3}),
                      .y = make_view(nullptr, type, view.shape, Order::channels_last)};
  backend.conv2d_forward(probe, selection);
  view.layout = probe.y.layout;
  view.strides = probe.y.strides;
}

/// Draws what is read and not given, and rounds everything.
template <class Draw>
Values fill(std::string_view case_name, const std::vector<Bound>& operands, Values given, Draw&& draw) {
  for (const auto& [name, view, role, in_place_of] : operands) {
    if (role == Role::output) continue;
    std::mt19937_64 random(hash(fmt::format("{}/{}", case_name, name)));
    auto found = given.find(name);
    if (found == given.end()) {
      if (!is_float(view->type)) throw InternalError("{}: no values for {}", case_name, name);
      Tensor drawn(view->shape);
      for (double& value : drawn.values()) value = draw(random);
      found = given.emplace(name, std::move(drawn)).first;
    }
    found->second = rounded(found->second, view->type);
  }
  return given;
}

}  // namespace

std::vector<const Backend*> backends() {
  auto all = device_backends();
  all.insert(all.begin(), &cpu::backend());
  return all;
}

bool stores(const Backend& backend, DType type) { return type != DType::f16 || &backend != &cpu::backend(); }

const std::vector<Setting>& settings(const Backend& backend) {
  static const std::vector<Setting> of_devices{
      {},
      {.memory = Memory::in_place},
      {.memory = Memory::misaligned},
      {.selection = {.multiprocessors = 1}},  // large tiles, whole sums
      {.selection = {.kernels = KernelSet::vendor}},
  };
  static const std::vector<Setting> all{
      {.selection = {.threads = 2}},
      {.selection = {.threads = 1}},
      {.selection = {.threads = 3}},
      {.selection = {.threads = 2}, .images = Images::native},
      {.selection = {.threads = 2}, .memory = Memory::in_place},
      {.selection = {.kernels = KernelSet::native, .threads = 2}},
      {.selection = {.kernels = KernelSet::vendor, .threads = 2}},
      {.selection = {.kernels = KernelSet::vendor, .threads = 2}, .memory = Memory::in_place},
  };
  static const std::vector<Setting> of_simt(of_devices.begin(), of_devices.end() - 1);  // it has no libraries
  if (!target_of(backend)) return all;
  return backend.name == "simt" ? of_simt : of_devices;
}

std::string to_string(const Setting& setting) {
  return fmt::format("{} kernels, {} threads, {} multiprocessors{}{}{}", name_of(setting.selection.kernels),
                     setting.selection.threads, setting.selection.multiprocessors,
                     setting.selection.f32_products == F32Products::tf32 ? ", tf32" : "",
                     setting.images == Images::native ? ", native images" : "",
                     setting.memory == Memory::in_place     ? ", in place"
                     : setting.memory == Memory::misaligned ? ", misaligned"
                                                            : "");
}

Values complete(std::string_view case_name, const std::vector<Bound>& operands, Values given) {
  std::normal_distribution<double> normal;
  return fill(case_name, operands, std::move(given), [&](auto& random) { return normal(random); });
}

Values small_integers(std::string_view case_name, const std::vector<Bound>& operands, Values given) {
  std::uniform_int_distribution<int> integer(-2, 2);
  return fill(case_name, operands, std::move(given), [&](auto& random) { return integer(random); });
}

Tensor ragged(std::int64_t samples, std::int64_t extent) {
  Tensor lengths(Shape{samples});
  for (std::int64_t n = 0; n < samples; ++n)
    lengths(n) = static_cast<double>(n == 0 ? extent : n == 2 ? 0 : (5 * n + extent / 2) % (extent + 1));
  return lengths;
}

void start(const Backend& backend, const Setting& setting, const std::vector<Bound>& operands,
           const Values& inputs) {
  for (const auto& operand : operands) {
    if (is_image(operand) && setting.images == Images::channels_last)
      make_plain(*operand.view, Order::channels_last);
    if (is_image(operand) && setting.images == Images::native)
      place_natively(backend, setting.selection, *operand.view);
    if (const auto value = inputs.find(operand.name); operand.name == "reserve" && value != inputs.end())
      *operand.view = make_view(nullptr, DType::u8, value->second.shape());
  }
}

void expect_repeated(const Values& first, const Values& second, std::vector<std::string>& problems) {
  for (const auto& [name, a] : first) {
    if (name == "reserve") continue;  // opaque: may have gaps that nobody reads
    const auto x = a.values(), y = second.at(name).values();
    if (x.size() != y.size() || (!x.empty() && std::memcmp(x.data(), y.data(), x.size_bytes()) != 0))
      problems.push_back("a second run does not repeat the bits of " + name);
  }
}

void judge(const std::vector<Bound>& operands, const Values& expected, const Values& got,
           const Tolerances& tolerances, std::string_view where, Report& report) {
  static const Tolerance exact;
  for (const auto& [name, view, role, in_place_of] : operands) {
    if (role == Role::input || name == "reserve") continue;
    const auto tolerance = tolerances.find(name);
    const auto [ratio, problem] = compare(name, expected.at(name), got.at(name), view->type,
                                          tolerance == tolerances.end() ? exact : tolerance->second);
    fmt::print("{}: {} {:.2g} of the allowed error\n", where, name, ratio);
    if (!problem.empty()) report.problems.push_back(fmt::format("{}: {}", where, problem));
    report.worst = std::max(report.worst, ratio);
  }
}

bool selected(std::string_view case_name) {
  const char* const part = std::getenv("SCRAWL_CASE");
  if (part && case_name.find(part) == std::string_view::npos) return false;
  const char* const every = std::getenv("SCRAWL_EVERY");
  if (!every) return true;
  static std::map<const testing::TestInfo*, int> asked;
  return asked[testing::UnitTest::GetInstance()->current_test_info()]++ % std::max(1, std::atoi(every)) == 0;
}

std::string repro(std::string_view case_name) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  return fmt::format("SCRAWL_CASE='{}' {} --gtest_filter='{}.{}'", case_name, program_invocation_name,
                     test->test_suite_name(), test->name());
}

}  // namespace scrawl::test
