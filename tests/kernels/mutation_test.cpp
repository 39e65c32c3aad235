/// Each barrier, wait, copy, shuffle and vector access of the CUDA kernels is broken in turn, on simt: left
/// out, left out in one lane, or shifted to its neighbour; and copies are left out with nobody looking for
/// undefined bytes, so that poison must reach the results. Each mutant must be reported, or must change a bit
/// of the results, under some seed; no original may be. What nobody misses is redundant, and leaves its
/// kernel.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "kernels/cuda/backend.h"
#include "kernels/simt/runtime.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using simt::Schedule, simt::Site;

constexpr std::uint64_t seeds = 24;

enum class Break : std::uint8_t { absent, divergent, shifted, unchecked };
constexpr std::array breaks{Break::absent, Break::divergent, Break::shifted, Break::unchecked};

constexpr std::string_view name_of(Break kind) {
  switch (kind) {
    case Break::absent:
      return "absent";
    case Break::divergent:
      return "divergent";
    case Break::shifted:
      return "shifted";
    case Break::unchecked:
      return "absent and unchecked";
  }
  return "?";
}

/// Whether a block of this name can be broken so.
bool can_break(std::string_view block, Break kind) {
  static constexpr std::string_view reads[] = {
      "shuffle",       "shuffle_xor", "shuffle_up",   "shuffle_down", "copy_to_shared",
      "load_matrices", "load_vector", "store_vector", "raise_flag",   "wait_flag"};
  if (kind == Break::shifted) return std::ranges::find(reads, block) != std::end(reads);
  if (kind == Break::unchecked) return block == "copy_to_shared" || block == "wait_copies";
  if (kind == Break::divergent && block.ends_with("_flag")) return false;  // single lanes call it: as absent
  return block != "load_vector" && block != "store_vector";
}

/// A call with its inputs: what it gives under a schedule, or nothing if the machine reports it.
struct Problem {
  std::string name;
  std::function<std::optional<Values>()> run;
};

template <class Call>
Problem problem(const std::string& name, const Call& call, Values given = {},
                const Selection& selection = {}) {
  Call copy = call;
  const Values inputs = complete(name, bound(copy), std::move(given));
  return {name, [=]() -> std::optional<Values> {
            try {
              return observe(simt::backend(), {.selection = selection}, call, inputs, Runs::once).outputs;
            } catch (const DeviceError&) {
              return std::nullopt;
            }
          }};
}

bool are_equal(const Values& a, const Values& b) {
  return std::ranges::all_of(a, [&](const auto& named) {
    const auto x = named.second.values(), y = b.at(named.first).values();
    return x.empty() || std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
  });
}

/// The sites of a family's kernels, each broken in every way, and whether anything noticed.
struct Score {
  std::map<std::string, bool> noticed;  ///< by mutant

  void expect_all() const {
    int found = 0;
    for (const auto& [mutant, is_noticed] : noticed) {
      EXPECT_TRUE(is_noticed) << mutant << ": nothing notices it";
      found += is_noticed;
    }
    fmt::print("mutants: {} of {} noticed\n", found, noticed.size());
    EXPECT_FALSE(noticed.empty());
  }
};

/// Runs a problem under a schedule, for the harness's target.
std::optional<Values> run_under(const Problem& problem, const Schedule& schedule) {
  simt_schedule() = schedule;
  auto values = problem.run();
  simt_schedule() = {};
  return values;
}

/// `of`: the start of the names of the files whose sites are broken.
void mutate(const std::vector<Problem>& problems, Score& score, std::string_view of = "") {
  for (const auto& problem : problems) {
    const auto expected = run_under(problem, {});
    ASSERT_TRUE(expected) << problem.name << ": " << simt::runtime().last_report();
    const auto visits = simt::runtime().visits();
    for (std::uint64_t seed = 0; seed < seeds; seed += 6)
      for (const auto look_for : {Schedule::LookFor::faults, Schedule::LookFor::races}) {
        const auto again = run_under(problem, {.seed = seed, .accesses_per_turn = 4, .look_for = look_for});
        ASSERT_TRUE(again) << problem.name << ": " << simt::runtime().last_report();
        EXPECT_TRUE(are_equal(*expected, *again)) << problem.name << ": seed " << seed << " changes a bit";
      }
    std::set<std::pair<std::uint64_t, Schedule::LookFor>> judged;
    for (const auto& [site, by_one_lane] : visits)
      for (const auto kind : breaks) {
        const std::string_view path(site.file);
        if (!can_break(site.name, kind) || !path.substr(path.rfind('/') + 1).starts_with(of)) continue;
        auto& noticed = score.noticed[fmt::format("{} {}", to_string(site), name_of(kind))];
        for (std::uint64_t seed = 0; !noticed && seed < seeds; ++seed)
          for (const auto look_for : {Schedule::LookFor::faults, Schedule::LookFor::races}) {
            if (noticed || (kind == Break::unchecked && look_for == Schedule::LookFor::races)) break;
            const auto got = run_under(
                problem, {.seed = seed,
                          .accesses_per_turn = seed % 2 == 0 ? 4 : 0,
                          .look_for = look_for,
                          .undefined = kind == Break::unchecked ? Schedule::Undefined::read
                                                                : Schedule::Undefined::reported,
                          .without = kind == Break::absent || kind == Break::unchecked ? &site : nullptr,
                          .divergent = kind == Break::divergent ? &site : nullptr,
                          .shifted = kind == Break::shifted ? &site : nullptr});
            noticed = !got || !are_equal(*expected, *got);
            if (!noticed || !judged.insert({seed, look_for}).second) continue;
            // What condemns a mutant must acquit the original.
            const auto original = run_under(
                problem, {.seed = seed, .accesses_per_turn = seed % 2 == 0 ? 4 : 0, .look_for = look_for});
            EXPECT_TRUE(original && are_equal(*expected, *original))
                << problem.name << ": seed " << seed << ": " << simt::runtime().last_report();
          }
      }
  }
}

TEST(mutation, softmax) {
  Score score;
  std::vector<Problem> problems;
  for (const auto kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax})
    for (const auto& [rows, classes] : {std::pair{9, 30}, {3, 144}, {2, 1200}, {1, 17000}}) {
      // f32 where only its bits tell: any shift of the logits is right.
      const auto x = described(classes > 16384 ? DType::f32 : DType::bf16, {rows, classes});
      problems.push_back(
          problem(fmt::format("{} {}", kind == SoftmaxKind::softmax ? "softmax" : "log_softmax", classes),
                  SoftmaxForward{.kind = kind, .x = x, .y = x}));
      problems.push_back(problem(fmt::format("softmax backward {}", classes),
                                 SoftmaxBackward{.kind = kind, .y = x, .dy = x, .dx = x}));
    }
  mutate(problems, score);
  score.expect_all();
}

TEST(mutation, gemm) {
  Score score;
  std::vector<Problem> problems;
  const auto add = [&](DType type, Transpose a, Transpose b, const Selection& selection) {
    constexpr std::int64_t m = 72, n = 40, k = 264;
    problems.push_back(problem(fmt::format("gemm {}", problems.size()),
                               Gemm{.transpose_a = a,
                                    .transpose_b = b,
                                    .a = described(type, a == Transpose::yes ? Shape{k, m} : Shape{m, k}),
                                    .b = described(type, b == Transpose::yes ? Shape{n, k} : Shape{k, n}),
                                    .y = described(type, {m, n})},
                               {}, selection));
  };
  for (const auto& [a, b] : {std::pair{Transpose::no, Transpose::no}, {Transpose::yes, Transpose::yes}}) {
    add(DType::bf16, a, b, {});
    add(DType::f16, a, b, {.multiprocessors = 1});
    add(DType::f32, a, b, {.f32_products = F32Products::tf32});
    add(DType::f32, a, b, {});
  }
  problems.push_back(
      problem("dense backward weight", DenseBackwardWeight{.x = described(DType::bf16, {70, 24}),
                                                           .dy = described(DType::bf16, {70, 40}),
                                                           .dw = described(DType::f32, {40, 24}),
                                                           .db = described(DType::f32, {40})}));
  mutate(problems, score);
  score.expect_all();
}

// Products by whole vectors, by elements, of few channels, pooled, split, and with zeros beyond widths.
TEST(mutation, convolution) {
  Score score;
  std::vector<Problem> problems;
  const Conv2dParams same{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  for (const std::int64_t c : {3, 12, 16}) {
    const Shape x{2, c, 7, 9}, w{24, c, 3, 3}, y{2, 24, 7, 9}, pooled{2, 24, 3, 4};
    const auto type = DType::bf16;
    const Values widths{{"y_widths", ragged(2, 9)}, {"x_widths", ragged(2, 9)}};
    const auto add = [&](const auto& call, const Values& given) {
      problems.push_back(problem(fmt::format("convolution {}", problems.size()), call, given));
    };
    add(Conv2dForward{.params = same,
                      .x = described(type, x),
                      .w = described(type, w),
                      .b = described(DType::f32, {24}),
                      .y = described(type, y),
                      .y_widths = described(DType::i32, {2})},
        widths);
    add(Conv2dPoolForward{.params = same,
                          .x = described(type, x),
                          .w = described(type, w),
                          .y = described(type, pooled),
                          .argmax = described(DType::u8, pooled)},
        {});
    add(Conv2dBackwardData{.params = same,
                           .dy = described(type, y),
                           .w = described(type, w),
                           .dx = described(type, x),
                           .x_widths = described(DType::i32, {2})},
        widths);
    add(Conv2dBackwardWeight{.params = same,
                             .x = described(type, x),
                             .dy = described(type, y),
                             .dw = described(DType::f32, w),
                             .db = described(DType::f32, {24})},
        {});
  }
  mutate(problems, score);
  score.expect_all();
}

TEST(mutation, losses) {
  Score score;
  std::vector<Problem> problems;
  for (const auto& [rows, classes] : {std::pair{9, 30}, {3, 144}, {2, 1200}, {4, 17000}}) {
    Tensor targets(Shape{rows});
    for (std::int64_t n = 0; n < rows; ++n) targets(n) = static_cast<double>((7 * n + 5) % classes);
    problems.push_back(
        problem(fmt::format("cross-entropy {}", classes),
                CrossEntropy{.label_smoothing = 0.1f,
                             .x = described(classes > 16384 ? DType::f32 : DType::bf16, {rows, classes}),
                             .targets = described(DType::i32, {rows}),
                             .loss = described(DType::f32, {rows}),
                             .d_x = described(DType::f32, {rows, classes})},
                {{"targets", targets}}));
  }
  problems.push_back(problem("scale rows", ScaleRows{.x = described(DType::f32, {40, 30}),
                                                     .scale = described(DType::f32, {40}),
                                                     .y = described(DType::bf16, {40, 30})}));
  problems.push_back(
      problem("mean", MeanForward{.x = described(DType::f32, {777}), .y = described(DType::f32, {1})}));
  mutate(problems, score);
  score.expect_all();
}

/// Labels of the classes 1, 2, ... in turn, with a repeat; `room` for longer ones chooses the variant.
Problem ctc(const std::string& name, std::int64_t steps, std::int64_t classes, std::int64_t length,
            std::int64_t room) {
  constexpr std::int64_t samples = 2;
  Tensor labels(Shape{samples, room}), label_lengths(Shape{samples}), input_lengths(Shape{samples});
  for (std::int64_t n = 0; n < samples; ++n) {
    label_lengths(n) = static_cast<double>(length - n);
    input_lengths(n) = static_cast<double>(steps - n);
    for (std::int64_t i = 0; i < length; ++i)
      labels(n, i) = static_cast<double>(1 + (i - i / 3) % (classes - 1));
  }
  return problem(name,
                 CtcLoss{.x = described(DType::f32, {steps, samples, classes}),
                         .labels = described(DType::i32, {samples, room}),
                         .label_lengths = described(DType::i32, {samples}),
                         .input_lengths = described(DType::i32, {samples}),
                         .loss = described(DType::f32, {samples}),
                         .d_x = described(DType::f32, {steps, samples, classes})},
                 {{"labels", labels}, {"label_lengths", label_lengths}, {"input_lengths", input_lengths}});
}

TEST(mutation, ctc) {
  Score score;
  mutate({ctc("one warp", 10, 9, 5, 5), ctc("three warps", 110, 5, 70, 70),
          ctc("states in memory", 12, 5, 4, 1024)},
         score);
  score.expect_all();
}

/// A layer's forward, and backward from what it left.
void add_lstm(std::vector<Problem>& problems, DType type, std::int64_t hidden) {
  constexpr std::int64_t steps = 3, samples = 17, inputs = 4, directions = 1;
  const Shape states{directions, samples, hidden};
  const LstmForward forward{.x = described(type, {steps, samples, inputs}),
                            .lengths = described(DType::i32, {samples}),
                            .h0 = described(type, states),
                            .w_ih = described(type, {directions, 4 * hidden, inputs}),
                            .w_hh = described(type, {directions, 4 * hidden, hidden}),
                            .b = described(DType::f32, {directions, 4 * hidden}),
                            .y = described(type, {steps, samples, directions * hidden}),
                            .hn = described(type, states),
                            .reserve = described(DType::u8, {0})};
  const Values lengths{{"lengths", ragged(samples, steps)}};
  const auto name = fmt::format("lstm {} {}", name_of(type), hidden);
  problems.push_back(problem(name, forward, lengths));

  LstmForward call = forward;
  Values values = complete(name, bound(call), lengths);
  const auto there = observe(simt::backend(), {}, call, values, Runs::once).outputs;
  for (const char* output : {"y", "reserve"}) values[output] = there.at(output);
  problems.push_back(problem(name + " backward",
                             LstmBackward{.x = forward.x,
                                          .lengths = forward.lengths,
                                          .h0 = forward.h0,
                                          .w_ih = forward.w_ih,
                                          .w_hh = forward.w_hh,
                                          .b = forward.b,
                                          .y = forward.y,
                                          .reserve = described(DType::u8, there.at("reserve").shape()),
                                          .dy = forward.y,
                                          .dx = forward.x,
                                          .dh0 = forward.h0,
                                          .dw_ih = described(DType::f32, forward.w_ih.shape),
                                          .dw_hh = described(DType::f32, forward.w_hh.shape),
                                          .db = forward.b},
                             values));
}

TEST(mutation, lstm) {
  Score score;
  std::vector<Problem> problems;
  add_lstm(problems, DType::bf16, 48);
  mutate(problems, score, "lstm");
  score.expect_all();
}

TEST(mutation, elementwise) {
  Score score;
  std::vector<Problem> problems;
  const auto image = described(DType::bf16, {2, 40, 6, 9});
  auto nhwc = image;
  make_plain(nhwc, Order::channels_last);
  problems.push_back(problem("copy", Copy{.x = image, .y = image}));
  problems.push_back(
      problem("convert", Copy{.scale = 2, .x = image, .y = described(DType::f32, image.shape)}));
  problems.push_back(
      problem("transpose", ImageToSequence{.x = nhwc, .y = described(DType::bf16, {9, 2, 240})}));
  problems.push_back(problem("add", Add{.a = image, .b = image, .y = image}));
  problems.push_back(problem("relu", ActivationForward{.x = image, .y = image}));
  problems.push_back(problem(
      "tanh backward", ActivationBackward{.kind = Activation::tanh, .y = image, .dy = image, .dx = image}));
  problems.push_back(problem(
      "dropout", Dropout{.rate = 0.3f, .x = image, .counters = described(DType::i64, {2}), .y = image},
      {{"counters", Tensor(Shape{2}, 3)}}));
  mutate(problems, score);
  score.expect_all();
}

TEST(mutation, pooling) {
  Score score;
  std::vector<Problem> problems;
  const PoolParams overlapping{.window_h = 3, .window_w = 3, .pad_h = 1, .pad_w = 1};
  const PoolParams wide{.window_h = 17, .window_w = 17, .stride_h = 17, .stride_w = 17};  // i32 argmax
  for (const auto& p : {PoolParams{}, overlapping, wide})
    for (const auto kind : {PoolKind::max, PoolKind::average}) {
      PoolParams params = p;
      params.kind = kind;
      const Shape x = p.window_h == 17 ? Shape{1, 8, 18, 18} : Shape{2, 8, 5, 6}, y = pool_output(p, x);
      const auto argmax = kind == PoolKind::max ? described(argmax_type(p), y) : View{};
      const PoolForward forward{
          .params = params, .x = described(DType::bf16, x), .y = described(DType::bf16, y), .argmax = argmax};
      const auto name = fmt::format("pool {}", problems.size());
      problems.push_back(problem(name, forward));
      Values indices;
      PoolForward copy = forward;
      if (argmax.present())
        indices["argmax"] = specified(forward, complete(name, bound(copy), {})).at("argmax");
      problems.push_back(problem(
          name + " backward",
          PoolBackward{.params = params, .dy = forward.y, .argmax = argmax, .dx = forward.x}, indices));
    }
  mutate(problems, score);
  score.expect_all();
}

TEST(mutation, convolution_with_moments) {
  Score score;
  std::vector<Problem> problems;
  // Tiles of one channel and of many, and their moments over a tile's edge; small and large tiles.
  for (const auto& [c, k] : {std::pair{1, 9}, {8, 72}})
    for (const int multiprocessors : {108, 1}) {
      if (c == 1 && multiprocessors == 1) continue;  // by the same tiles
      const Shape x{2, c, 6, 11}, w{k, c, 3, 3};
      const auto channels = described(DType::f32, {k});
      problems.push_back(problem(fmt::format("{} of {} channels", multiprocessors, k),
                                 Conv2dMomentsForward{.params = {.pad_left = 1, .pad_right = 1},
                                                      .x = described(DType::bf16, x),
                                                      .w = described(DType::bf16, w),
                                                      .b = channels,
                                                      .y = described(DType::bf16, {2, k, 4, 11}),
                                                      .mean = channels,
                                                      .variance = channels,
                                                      .y_widths = described(DType::i32, {2})},
                                 {{"y_widths", ragged(2, 11)}}, {.multiprocessors = multiprocessors}));
    }
  mutate(problems, score, "tile_moments");
  mutate(problems, score, "moments");
  score.expect_all();
}

TEST(mutation, batch_norm) {
  Score score;
  std::vector<Problem> problems;
  const auto x = described(DType::bf16, {3, 16, 9, 11}), c = described(DType::f32, {16});
  const auto widths = described(DType::i32, {3});
  const Values valid{{"widths", ragged(3, 11)}, {"x_widths", ragged(3, 11)}, {"y_widths", ragged(3, 5)}};
  Values given = valid;
  given["variance"] = Tensor(c.shape, 1.5);
  problems.push_back(problem(
      "batch norm",
      BatchNormForward{.x = x, .gamma = c, .beta = c, .y = x, .mean = c, .variance = c, .widths = widths},
      valid));
  problems.push_back(problem("batch norm backward",
                             BatchNormBackward{.activation = Activation::relu,
                                               .x = x,
                                               .dy = x,
                                               .gamma = c,
                                               .beta = c,
                                               .mean = c,
                                               .variance = c,
                                               .dx = x,
                                               .dgamma = c,
                                               .dbeta = c,
                                               .widths = widths},
                             given));
  for (const auto& pool : {PoolParams{}, PoolParams{.window_w = 3}}) {
    const auto y = described(DType::bf16, pool_output(pool, x.shape));
    const BatchNormPoolForward forward{.pool = pool,
                                       .x = x,
                                       .gamma = c,
                                       .beta = c,
                                       .y = y,
                                       .argmax = described(DType::u8, y.shape),
                                       .mean = c,
                                       .variance = c,
                                       .x_widths = widths,
                                       .y_widths = widths};
    const auto name = fmt::format("batch norm and pool {}", pool.window_w);
    problems.push_back(problem(name, forward, valid));
    BatchNormPoolForward copy = forward;
    const auto outputs = specified(forward, complete(name, bound(copy), valid));
    Values pooled = given;
    for (const auto* output : {"y", "argmax"}) pooled[output] = outputs.at(output);
    problems.push_back(problem(name + " backward",
                               BatchNormPoolBackward{.pool = pool,
                                                     .x = x,
                                                     .y = y,
                                                     .dy = y,
                                                     .argmax = forward.argmax,
                                                     .gamma = c,
                                                     .mean = c,
                                                     .variance = c,
                                                     .dx = x,
                                                     .dgamma = c,
                                                     .dbeta = c,
                                                     .x_widths = widths,
                                                     .y_widths = widths},
                               pooled));
  }
  Tensor control(Shape{Control::count});
  problems.push_back(problem("running variance",
                             RunningUpdate{.moment = RunningUpdate::Moment::variance,
                                           .count = 40 * 5 * 3,
                                           .height = 5,
                                           .running = c,
                                           .value = c,
                                           .widths = described(DType::i32, {40}),
                                           .control = described(DType::f32, {Control::count})},
                             {{"widths", ragged(40, 3)}, {"control", control}}));
  mutate(problems, score);
  score.expect_all();
}

TEST(mutation, optimizer) {
  Score score;
  std::vector<Problem> problems;
  const std::vector<View> tensors{described(DType::f32, {70, 40}), described(DType::f32, {5})};
  const auto control = described(DType::f32, {Control::count});
  Tensor values(Shape{Control::count}, 0.5);
  values(Control::skip) = 0;
  problems.push_back(problem("gradient norm", GradientNorm{.clip = 1, .g = tensors, .control = control},
                             {{"control", values}}));
  OptimizerStep step{
      .decay = {1, 0}, .w = tensors, .g = tensors, .m = tensors, .v = tensors, .control = control};
  Values moments{{"control", values}};
  for (const auto* name : {"v.0", "v.1"}) moments[name] = Tensor(tensors[name[2] == '0' ? 0 : 1].shape, 0.25);
  problems.push_back(problem("adam", step, moments));
  mutate(problems, score);
  score.expect_all();
}

}  // namespace
}  // namespace scrawl::test
