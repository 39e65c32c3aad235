/// The CPU's LSTM beyond agreement on single calls: forward followed by backward against the reference, and
/// what must hold bit by bit.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/planners.h"
#include "kernels/reference/backend.h"

namespace scrawl {
namespace {

struct Case {
  std::int64_t steps, batch, inputs, hidden, directions;
  std::vector<std::int32_t> lengths = {};  ///< empty: absent
  enum class States { absent, present } states = States::absent;
  /// absent: initial and final states, and their gradients.
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << fmt::format("T={},N={},I={},H={},D={},lengths={}", c.steps, c.batch, c.inputs, c.hidden,
                      c.directions, c.lengths.size());
}

using Numbers = std::map<std::string, std::vector<double>>;
using Memory = std::map<std::string, std::vector<std::byte>>;

void write(std::span<const double> from, DType type, std::byte* to) {
  for (const double value : from) {
    if (type == DType::i32) {
      const auto integer = static_cast<std::int32_t>(value);
      std::memcpy(to, &integer, sizeof integer);
    } else {
      dispatch_float(type, [&]<class T>() {
        const T number(static_cast<float>(value));
        if constexpr (std::is_same_v<T, double>)
          std::memcpy(to, &value, sizeof value);
        else
          std::memcpy(to, &number, sizeof number);
      });
    }
    to += size_of(type);
  }
}

std::vector<double> read(const std::vector<std::byte>& from, DType type) {
  std::vector<double> numbers(from.size() / size_of(type));
  dispatch_float(type, [&]<class T>() {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      T number;
      std::memcpy(&number, from.data() + i * sizeof(T), sizeof(T));
      if constexpr (std::is_same_v<T, double>)
        numbers[i] = number;
      else
        numbers[i] = static_cast<float>(number);
    }
  });
  return numbers;
}

/// Forward, then backward, on one backend. `wide` is the type of what accompanies the storage type.
class Pass {
 public:
  Pass(const Case& c, DType type) : type_(type), wide_(type == DType::f64 ? DType::f64 : DType::f32) {
    const auto [t, n, i, h, d, lengths, states] = c;
    const Shape state{d, n, h}, y{t, n, d * h};
    LstmForward& f = forward_;
    f = {.x = view(type_, {t, n, i}),
         .w_ih = view(type_, {d, 4 * h, i}),
         .w_hh = view(type_, {d, 4 * h, h}),
         .b = view(wide_, {d, 4 * h}),
         .y = view(type_, y),
         .reserve = view(DType::u8, {1})};
    if (!lengths.empty()) f.lengths = view(DType::i32, {n});
    if (states == Case::States::present) {
      f.h0 = f.hn = view(type_, state);
      f.c0 = f.cn = view(wide_, state);
    }
    LstmBackward& b = backward_;
    b = {.x = f.x,
         .lengths = f.lengths,
         .h0 = f.h0,
         .c0 = f.c0,
         .w_ih = f.w_ih,
         .w_hh = f.w_hh,
         .b = f.b,
         .y = f.y,
         .dy = f.y,
         .dhn = f.h0,
         .dcn = f.c0,
         .dx = f.x,
         .dh0 = f.h0,
         .dc0 = f.c0,
         .dw_ih = view(wide_, f.w_ih.shape),
         .dw_hh = view(wide_, f.w_hh.shape),
         .db = f.b};
  }

  /// Outputs start as NaN bytes.
  Memory run(Planner<LstmForward> plan_forward, Planner<LstmBackward> plan_backward, const Numbers& inputs,
             int threads) {
    memory_.clear();
    auto& f = forward_;
    auto& b = backward_;
    const Selection selection{.threads = threads};
    const auto forward = plan_forward(f, selection);
    b.reserve = f.reserve;
    const auto backward = plan_backward(b, selection);
    for (auto& [name, view] : operands()) {
      if (!view->present()) continue;
      auto [bytes, is_new] = memory_.try_emplace(name);
      if (is_new)
        bytes->second.assign(static_cast<std::size_t>(view->shape.count()) * size_of(view->type),
                             std::byte{0xff});
      view->data = bytes->second.data();
      if (const auto given = inputs.find(name); is_new && given != inputs.end())
        write(given->second, view->type, bytes->second.data());
    }
    run(forward, f);
    run(backward, b);
    Memory outputs;
    for (const auto* name : {"y", "hn", "cn", "dx", "dh0", "dc0", "dw_ih", "dw_hh", "db"})
      if (const auto found = memory_.find(name); found != memory_.end()) outputs.insert(*found);
    return outputs;
  }

  DType type_of(const std::string& name) {
    for (const auto& [operand, view] : operands())
      if (operand == name) return view->type;
    throw InternalError("no operand {}", name);
  }

  /// Random inputs, rounded to the storage type.
  Numbers draw(const Case& c, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> grid(-64, 64);
    Numbers numbers;
    const double weight = 4 / std::sqrt(static_cast<double>(c.hidden + c.inputs));
    for (const auto& [name, view] : operands()) {
      if (!view->present() || numbers.contains(name) || view->type == DType::u8) continue;
      auto& values = numbers[name];
      for (std::int64_t i = 0; i < view->shape.count(); ++i) values.push_back(grid(random) / 64.0);
      if (name[0] == 'w')  // exact in every type
        for (double& value : values) value *= std::exp2(std::floor(std::log2(weight)));
    }
    numbers["lengths"].assign(c.lengths.begin(), c.lengths.end());
    return numbers;
  }

 private:
  static View view(DType type, const Shape& shape) { return make_view(nullptr, type, shape); }

  std::vector<std::pair<std::string, View*>> operands() {
    auto& f = forward_;
    auto& b = backward_;
    return {{"x", &f.x},
            {"x", &b.x},
            {"lengths", &f.lengths},
            {"lengths", &b.lengths},
            {"h0", &f.h0},
            {"h0", &b.h0},
            {"c0", &f.c0},
            {"c0", &b.c0},
            {"w_ih", &f.w_ih},
            {"w_ih", &b.w_ih},
            {"w_hh", &f.w_hh},
            {"w_hh", &b.w_hh},
            {"b", &f.b},
            {"b", &b.b},
            {"y", &f.y},
            {"y", &b.y},
            {"hn", &f.hn},
            {"cn", &f.cn},
            {"reserve", &f.reserve},
            {"reserve", &b.reserve},
            {"dy", &b.dy},
            {"dhn", &b.dhn},
            {"dcn", &b.dcn},
            {"dx", &b.dx},
            {"dh0", &b.dh0},
            {"dc0", &b.dc0},
            {"dw_ih", &b.dw_ih},
            {"dw_hh", &b.dw_hh},
            {"db", &b.db}};
  }

  template <class Call>
  static void run(const Plan<Call>& plan, const Call& call) {
    std::vector<std::byte> workspace(plan.workspace_bytes + 64, std::byte{0xff});
    void* aligned = workspace.data();
    std::size_t space = workspace.size();
    std::align(64, plan.workspace_bytes, aligned, space);
    plan.run(call, {static_cast<std::byte*>(aligned), plan.workspace_bytes}, nullptr);
  }

  DType type_, wide_;
  LstmForward forward_;
  LstmBackward backward_;
  Memory memory_;
};

Memory run_cpu(const Case& c, DType type, const Numbers& inputs, int threads = 2) {
  return Pass(c, type).run(cpu::lstm_forward, cpu::lstm_backward, inputs, threads);
}

constexpr auto with_states = Case::States::present;

/// Block edges (16 units, 7 samples, 64 columns, 128 and 256 cells), with and without everything optional.
const std::vector<Case> cases = {
    {5, 3, 4, 6, 1},
    {5, 3, 4, 6, 2, {5, 0, 3}, with_states},
    {1, 1, 1, 1, 1, {}, with_states},
    {1, 1, 1, 1, 2, {0}, with_states},
    {3, 7, 9, 15, 2, {}, with_states},
    {4, 8, 63, 16, 1, {4, 1, 2, 3, 4, 0, 2, 1}},
    {6, 15, 64, 17, 2, {6, 5, 4, 3, 2, 1, 0, 6, 6, 1, 2, 3, 4, 5, 6}, with_states},
    {9, 29, 65, 33, 2, {}, with_states},
    {40, 2, 7, 63, 2, {40, 17}, with_states},
    {5, 6, 130, 64, 1, {5, 5, 4, 3, 2, 1}, with_states},
    {4, 70, 16, 65, 2},
    {7, 3, 33, 128, 1, {0, 0, 0}, with_states},
    {3, 0, 4, 6, 2},
};

class Lstm : public testing::TestWithParam<Case> {};

TEST_P(Lstm, forward_and_backward_agree_with_the_reference) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    Pass specified(GetParam(), DType::f64), cpu(GetParam(), type);
    const Numbers inputs = cpu.draw(GetParam(), 1);
    const Memory expected =
        specified.run(reference::backend().lstm_forward, reference::backend().lstm_backward, inputs, 1);
    const Memory got = cpu.run(cpu::lstm_forward, cpu::lstm_backward, inputs, 2);
    // By norm. f32: the rounding of some 50 sums of up to 200 terms in sequence. Narrower: h is rounded at
    // every step, and these errors feed back; sums stay in f32.
    const double unit = type == DType::f32 ? 0x1p-24 : type == DType::f16 ? 0x1p-11 : 0x1p-8;
    const double factor = type == DType::f32 ? 32 : 2;
    for (const auto& [name, bytes] : got) {
      const auto values = read(bytes, cpu.type_of(name)), wanted = read(expected.at(name), DType::f64);
      ASSERT_EQ(values.size(), wanted.size());
      double scale = 0, error = 0;
      for (const double value : wanted) scale = std::max(scale, std::abs(value));
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_FALSE(std::isnan(values[i])) << name << "[" << i << "] " << name_of(type);
        error = std::max(error, std::abs(values[i] - wanted[i]));
      }
      RecordProperty(fmt::format("{}_{}_units", name, name_of(type)),
                     fmt::format("{:.2f}", error / (scale * unit)));
      EXPECT_LE(error, factor * unit * scale) << name << " " << name_of(type);
    }
  }
}

TEST_P(Lstm, bits_depend_on_no_thread_count_and_no_run) {
  const Numbers inputs = Pass(GetParam(), DType::f32).draw(GetParam(), 2);
  const Memory once = run_cpu(GetParam(), DType::f32, inputs, 1);
  for (const int threads : {1, 2, 3, 4, 8})
    EXPECT_EQ(run_cpu(GetParam(), DType::f32, inputs, threads), once) << threads;
}

INSTANTIATE_TEST_SUITE_P(cases, Lstm, testing::ValuesIn(cases));

/// Rows of (T,N,..) tensors of one sample.
std::vector<std::byte> rows_of_sample(const std::vector<std::byte>& tensor, const Case& c,
                                      std::int64_t sample) {
  const auto row = tensor.size() / static_cast<std::size_t>(c.steps * c.batch);
  std::vector<std::byte> rows;
  for (std::int64_t t = 0; t < c.steps; ++t) {
    const auto from = tensor.begin() + static_cast<std::ptrdiff_t>(row) * (t * c.batch + sample);
    rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(row));
  }
  return rows;
}

const Case ragged{8, 9, 20, 33, 2, {8, 3, 5, 0, 7, 8, 1, 6, 2}};

TEST(lstm, what_lies_beyond_the_lengths_changes_no_bit) {
  for (const DType type : {DType::f32, DType::bf16}) {
    Numbers inputs = Pass(ragged, type).draw(ragged, 3);
    const Memory clean = run_cpu(ragged, type, inputs);
    for (std::int64_t t = 0; t < ragged.steps; ++t)
      for (std::int64_t n = 0; n < ragged.batch; ++n) {
        if (t < ragged.lengths[static_cast<std::size_t>(n)]) continue;
        for (const auto& [name, columns] :
             {std::pair{"x", ragged.inputs}, {"dy", ragged.directions * ragged.hidden}})
          for (std::int64_t i = 0; i < columns; ++i)
            inputs[name][static_cast<std::size_t>((t * ragged.batch + n) * columns + i)] =
                std::numeric_limits<double>::quiet_NaN();
      }
    EXPECT_EQ(run_cpu(ragged, type, inputs), clean);
  }
}

TEST(lstm, more_padding_changes_no_gradient_bit) {
  Numbers inputs = Pass(ragged, DType::f32).draw(ragged, 4);
  const Memory tight = run_cpu(ragged, DType::f32, inputs);
  Case padded = ragged;
  padded.steps += 5;
  const auto extra = static_cast<std::size_t>(5 * ragged.batch);
  inputs["x"].resize(inputs["x"].size() + extra * 20, 1.0);
  inputs["dy"].resize(inputs["dy"].size() + extra * 66, 1.0);
  const Memory loose = run_cpu(padded, DType::f32, inputs);
  for (const auto* name : {"dw_ih", "dw_hh", "db"}) EXPECT_EQ(loose.at(name), tight.at(name)) << name;
}

TEST(lstm, extreme_values_in_one_sample_reach_no_other) {
  Numbers inputs = Pass(ragged, DType::f32).draw(ragged, 5);
  const Memory clean = run_cpu(ragged, DType::f32, inputs);
  for (const double extreme :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e38}) {
    const std::int64_t spoilt = 4;
    for (std::int64_t t = 0; t < ragged.steps; ++t)
      for (std::int64_t i = 0; i < ragged.inputs; ++i)
        inputs["x"][static_cast<std::size_t>((t * ragged.batch + spoilt) * ragged.inputs + i)] = extreme;
    const Memory got = run_cpu(ragged, DType::f32, inputs);
    for (std::int64_t n = 0; n < ragged.batch; ++n)
      for (const auto* name : {"y", "dx"}) {
        const auto before = rows_of_sample(clean.at(name), ragged, n),
                   after = rows_of_sample(got.at(name), ragged, n);
        if (n == spoilt)
          EXPECT_NE(after, before) << name;
        else
          EXPECT_EQ(after, before) << name << " of sample " << n;
      }
  }
}

TEST(lstm, absent_state_gradients_count_as_zero) {
  Case c = ragged;
  c.states = with_states;
  Numbers inputs = Pass(c, DType::f32).draw(c, 6);
  for (const auto* name : {"h0", "c0", "dhn", "dcn"}) std::ranges::fill(inputs[name], 0.0);
  const Memory given = run_cpu(c, DType::f32, inputs), absent = run_cpu(ragged, DType::f32, inputs);
  for (const auto& [name, bytes] : absent) EXPECT_EQ(bytes, given.at(name)) << name;
}

TEST(lstm, lengths_beyond_the_steps_count_as_all_of_them) {
  Case c{4, 3, 5, 6, 2, {4, 9, -2}}, clamped = c;
  clamped.lengths = {4, 4, 0};
  Numbers inputs = Pass(c, DType::f32).draw(c, 7);
  const Memory got = run_cpu(c, DType::f32, inputs);
  inputs["lengths"] = {4, 4, 0};
  EXPECT_EQ(got, run_cpu(clamped, DType::f32, inputs));
}

TEST(lstm, inference_gives_the_outputs_of_training) {
  const Case c{6, 5, 12, 19, 2, {6, 1, 4, 0, 3}, with_states};
  for (const auto plan_forward : {+[](LstmForward&call, const Selection&selection) {
         View reserve = call.reserve;
         call.reserve = {};
         auto plan = cpu::lstm_forward(call, selection);
         call.reserve = reserve;
         const auto run = plan.run;
         plan.run = [run](LstmForward call, Bytes workspace, Stream stream) {
           call.reserve = {};
           run(call, workspace, stream);
         };
         return plan;
       }}) {
    const auto skip_backward = +[](LstmBackward&, const Selection&) {
      return Plan<LstmBackward>{.run = [](const LstmBackward&, Bytes, Stream) {}};
    };
    const Numbers inputs = Pass(c, DType::f32).draw(c, 8);
    const Memory inferred = Pass(c, DType::f32).run(plan_forward, skip_backward, inputs, 2);
    const Memory trained = run_cpu(c, DType::f32, inputs);
    for (const auto* name : {"y", "hn", "cn"}) EXPECT_EQ(inferred.at(name), trained.at(name)) << name;
  }
}

TEST(lstm, a_reserve_of_another_size_is_refused_by_name) {
  LstmBackward call;
  const auto view = [](DType type, const Shape& shape) { return make_view(nullptr, type, shape); };
  call = {.x = view(DType::f32, {2, 3, 4}),
          .w_ih = view(DType::f32, {1, 8, 4}),
          .w_hh = view(DType::f32, {1, 8, 2}),
          .b = view(DType::f32, {1, 8}),
          .y = view(DType::f32, {2, 3, 2}),
          .reserve = view(DType::u8, {7}),
          .dy = view(DType::f32, {2, 3, 2}),
          .dx = view(DType::f32, {2, 3, 4}),
          .dw_ih = view(DType::f32, {1, 8, 4}),
          .dw_hh = view(DType::f32, {1, 8, 2}),
          .db = view(DType::f32, {1, 8})};
  try {
    cpu::lstm_backward(call, {});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "lstm_backward: reserve: expected 1920 bytes, got 7");
  }
}

}  // namespace
}  // namespace scrawl
