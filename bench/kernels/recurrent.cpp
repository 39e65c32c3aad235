#include "bench/kernels/recurrent.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/kernels/cudnn.h"
#include "bench/kernels/problem.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

LstmForward forward(const Recurrent& l, int64_t n, const Numbers& t) {
  return {.x = plain(t.storage, {l.steps, n, l.inputs}),
          .w_ih = plain(t.storage, {2, 4 * l.hidden, l.inputs}),
          .w_hh = plain(t.storage, {2, 4 * l.hidden, l.hidden}),
          .b = plain(DType::f32, {2, 4 * l.hidden}),
          .y = plain(t.storage, {l.steps, n, 2 * l.hidden}),
          .reserve = plain(DType::u8, {0})};
}

Inputs values_of(const Recurrent& l) {
  const float scale = 1 / std::sqrt(static_cast<float>(l.hidden));
  return {.scale = {{"w_ih", scale}, {"w_hh", scale}, {"b", 0.1f}}};
}

double flops(const Recurrent& l, int64_t n) {
  return 2 * static_cast<double>(l.steps * n) * static_cast<double>(8 * l.hidden) *
         static_cast<double>(l.inputs + l.hidden);
}

std::string parameters(const Recurrent& l, int64_t n, const Numbers& t) {
  return fmt::format("T={},N={},I={},H={},D=2,{}", l.steps, n, l.inputs, l.hidden, t.name);
}

/// cuDNN's algorithms in the problem's type, and beside bf16 in f16 too: it has no persistent kernels in
/// bf16. `all_of(numbers, inputs)` are those of one type.
auto of_each_type(const Recurrent& l, int64_t n, const Numbers& t, const std::string& operation,
                  const auto& all_of) {
  return [=](Device& device, const Selection&) {
    std::vector<Contender> all;
    for (const auto& type :
         t.name == "bf16" ? std::vector{t.name, std::string("f16")} : std::vector{t.name}) {
      const auto numbers = numbers_of(type);
      auto inputs = values_of(l);
      inputs.rounding = t.rounding;
      for (auto& each : all_of(device, numbers, inputs)) {
        each.name += " " + type;
        each.type = type;
        each.row = fmt::format("{}[{}]", operation, parameters(l, n, numbers));
        all.push_back(std::move(each));
      }
    }
    return all;
  };
}

}  // namespace

Problem lstm_forward(const Recurrent& l, int64_t n, const Numbers& t) {
  auto made = problem(fmt::format("lstm.forward[{}]", parameters(l, n, t)), t, forward(l, n, t), values_of(l),
                      flops(l, n));
  made.contenders = of_each_type(l, n, t, "lstm.forward",
                                 [=](Device& device, const Numbers& numbers, const Inputs& inputs) {
                                   return cudnn_contenders(device, forward(l, n, numbers), numbers, inputs);
                                 });
  return made;
}

Problem lstm_backward(const Recurrent& l, int64_t n, const Numbers& t) {
  const auto f = forward(l, n, t);
  const auto gradient = [](const View& w) { return plain(DType::f32, w.shape); };
  auto made = problem_after(fmt::format("lstm.backward[{}]", parameters(l, n, t)), t, f,
                            LstmBackward{.x = f.x,
                                         .w_ih = f.w_ih,
                                         .w_hh = f.w_hh,
                                         .b = f.b,
                                         .y = f.y,
                                         .reserve = f.reserve,
                                         .dy = f.y,
                                         .dx = f.x,
                                         .dw_ih = gradient(f.w_ih),
                                         .dw_hh = gradient(f.w_hh),
                                         .db = gradient(f.b)},
                            {"y", "reserve"}, values_of(l), 2 * flops(l, n));
  made.contenders = of_each_type(
      l, n, t, "lstm.backward", [=](Device& device, const Numbers& numbers, const Inputs& inputs) {
        return cudnn_backward_contenders(device, forward(l, n, numbers), numbers, inputs);
      });
  return made;
}

Problem ctc_gradient(int64_t steps, int64_t n, int64_t classes, int64_t longest, const Numbers& t) {
  const Fill label = [=](int64_t i) { return static_cast<float>(1 + (5 * i + i / 7) % (classes - 1)); };
  const auto name = [=](const std::string& type) {
    return fmt::format("ctc.gradient[T={},N={},K={},L={},{}]", steps, n, classes, longest, type);
  };
  auto made = searched(
      name(t.name), t,
      CtcLoss{.x = plain(t.storage, {steps, n, classes}),
              .labels = plain(DType::i32, {n, longest}),
              .label_lengths = plain(DType::i32, {n}),
              .input_lengths = plain(DType::i32, {n}),
              .loss = plain(DType::f32, {n}),
              .d_x = plain(DType::f32, {steps, n, classes})},
      {.fill = {{"labels", label},
                {"label_lengths", [=](int64_t i) { return static_cast<float>(1 + 11 * i % longest); }},
                {"input_lengths", [=](int64_t) { return static_cast<float>(steps); }}}},
      0);
  made.contenders = [=, of = made.contenders](Device& device, const Selection& selection) {
    auto all = of(device, selection);
    for (auto& each : all) {
      each.name += " f32";
      each.type = "f32";
      each.row = name("f32");
    }
    return all;
  };
  return made;
}

}  // namespace scrawl::bench
