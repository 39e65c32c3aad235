/// LSTM and CTC.

#include <cmath>

#include "bench/kernels/cudnn.h"
#include "bench/kernels/named.h"
#include "bench/kernels/problem.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

struct Lstm {
  int64_t steps, samples, inputs, hidden, directions;

  explicit Lstm(const Name& name)
      : steps(name.at("T")),
        samples(name.at("N")),
        inputs(name.at("I")),
        hidden(name.at("H")),
        directions(name.get("D", 1, 1)) {
    if (directions > 2)
      throw UsageError("{}: D: expected 1 or 2 directions, got {}", name.text(), directions);
  }

  LstmForward forward(const Numbers& t) const {
    return {.x = plain(t.storage, {steps, samples, inputs}),
            .w_ih = plain(t.storage, {directions, 4 * hidden, inputs}),
            .w_hh = plain(t.storage, {directions, 4 * hidden, hidden}),
            .b = plain(DType::f32, {directions, 4 * hidden}),
            .y = plain(t.storage, {steps, samples, directions * hidden}),
            .reserve = plain(DType::u8, {0})};
  }

  Inputs values() const {
    const float scale = 1 / std::sqrt(static_cast<float>(hidden));
    return {.scale = {{"w_ih", scale}, {"w_hh", scale}, {"b", 0.1f}}};
  }

  double flops() const {
    return 2 * static_cast<double>(steps * samples) * static_cast<double>(4 * directions * hidden) *
           static_cast<double>(inputs + hidden);
  }
};

/// cuDNN's algorithms in the problem's type, and beside bf16 in f16 too: it has no persistent kernels in
/// bf16. `all_of(device, numbers, inputs)` are those of one type.
auto of_each_type(const Name& name, const auto& all_of) {
  return [=](Device& device, const Selection&) {
    std::vector<Contender> all;
    auto named = name;
    auto inputs = Lstm(name).values();
    inputs.rounding = numbers_of(name).rounding;
    for (const auto& type :
         name.type() == "bf16" ? std::vector{name.type(), std::string("f16")} : std::vector{name.type()}) {
      named.set_type(type);
      for (auto& each : all_of(device, numbers_of(type), inputs)) {
        each.name += " " + type;
        each.type = type;
        each.row = named.text();
        all.push_back(std::move(each));
      }
    }
    return all;
  };
}

Problem lstm_forward(const Name& name) {
  const Lstm l(name);
  auto made = problem(name, l.forward(numbers_of(name)), l.values(), l.flops());
  made.contenders = of_each_type(name, [=](Device& device, const Numbers& numbers, const Inputs& inputs) {
    return cudnn_contenders(device, l.forward(numbers), numbers, inputs);
  });
  return made;
}

Problem lstm_backward(const Name& name) {
  const Lstm l(name);
  const auto f = l.forward(numbers_of(name));
  const auto gradient = [](const View& w) { return plain(DType::f32, w.shape); };
  auto made = problem_after(name, f,
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
                            {"y", "reserve"}, l.values(), 2 * l.flops());
  made.contenders = of_each_type(name, [=](Device& device, const Numbers& numbers, const Inputs& inputs) {
    return cudnn_backward_contenders(device, l.forward(numbers), numbers, inputs);
  });
  return made;
}

Problem ctc_gradient(const Name& name) {
  const auto steps = name.at("T"), samples = name.at("N"), classes = name.at("K", 2), longest = name.at("L");
  const auto storage = numbers_of(name).storage;
  const Fill label = [=](int64_t i) { return static_cast<float>(1 + (i + i / 7) % (classes - 1)); };
  const Fill length = [=](int64_t i) { return static_cast<float>(1 + (i * 2654435761 >> 7) % longest); };
  auto made = searched(name,
                       CtcLoss{.infeasible = Infeasible::zero,
                               .x = plain(storage, {steps, samples, classes}),
                               .labels = plain(DType::i32, {samples, longest}),
                               .label_lengths = plain(DType::i32, {samples}),
                               .input_lengths = plain(DType::i32, {samples}),
                               .loss = plain(DType::f32, {samples}),
                               .d_x = plain(DType::f32, {steps, samples, classes})},
                       {.fill = {{"labels", label},
                                 {"label_lengths", length},
                                 {"input_lengths", [=](int64_t) { return static_cast<float>(steps); }}}},
                       0);
  auto in_f32 = name;
  in_f32.set_type("f32");
  made.contenders = [row = in_f32.text(), of = made.contenders](Device& device, const Selection& selection) {
    auto all = of(device, selection);
    for (auto& each : all) {
      each.name += " f32";
      each.type = "f32";
      each.row = row;
    }
    return all;
  };
  return made;
}

Name lstm_name(const char* operation, const Shape& x, const Shape& w_hh, const Numbers& numbers) {
  Name name(operation, numbers.name);
  name.set("T", x[0]).set("N", x[1]).set("I", x[2]).set("H", w_hh[2]).set("D", w_hh[0]);
  return name;
}

}  // namespace

const std::map<std::string, Maker>& sequence_makers() {
  static const std::map<std::string, Maker> all{
      {"lstm.forward", lstm_forward}, {"lstm.backward", lstm_backward}, {"ctc.gradient", ctc_gradient}};
  return all;
}

Name name_of(const LstmForward& c, const Numbers& t) {
  return lstm_name("lstm.forward", c.x.shape, c.w_hh.shape, t);
}
Name name_of(const LstmBackward& c, const Numbers& t) {
  return lstm_name("lstm.backward", c.x.shape, c.w_hh.shape, t);
}
Name name_of(const CtcLoss& c, const Numbers&) {
  Name name("ctc.gradient", std::string(name_of(c.x.type)));
  name.set("T", c.x.shape[0]).set("N", c.x.shape[1]).set("K", c.x.shape[2]).set("L", c.labels.shape[1]);
  return name;
}

}  // namespace scrawl::bench
