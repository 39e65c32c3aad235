#include "tests/cases/pool.h"

#include <algorithm>

#include "kernels/cpu/backend.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Pooling = EveryBackend;

std::string name(std::string_view direction, const PoolCase& c, DType type) {
  const auto& p = c.params;
  return fmt::format("pool.{}[{},N={},C={},H={},W={},window={}x{},stride={}x{},pad={}x{}{},{}]", direction,
                     p.kind == PoolKind::max ? "max" : "average", c.n, c.c, c.h, c.w, p.window_h, p.window_w,
                     p.stride_h, p.stride_w, p.pad_h, p.pad_w, c.widths == Optional::present ? ",widths" : "",
                     name_of(type));
}

template <class F>
void each_case(PoolKind kind, F&& f) {
  for (auto c : pool_cases) {
    c.params.kind = kind;
    for (const auto type : storage_types) f(c, type);
  }
}

/// x_widths, and y_widths as WindowWidths makes them.
Values widths(const PoolCase& c) {
  const auto& p = c.params;
  const Tensor x = ragged(c.n, c.w);
  const WindowWidths call{.extent = p.window_w,
                          .stride = p.stride_w,
                          .pad_left = p.pad_w,
                          .pad_right = p.pad_w,
                          .width = pool_output(p, {c.n, c.c, c.h, c.w})[3],
                          .widths = described(DType::i32, {c.n}),
                          .out = described(DType::i32, {c.n})};
  return {{"x_widths", x}, {"y_widths", specified(call, {{"widths", x}}).at("out")}};
}

PoolForward forward(const PoolCase& c, DType type) {
  const Shape x{c.n, c.c, c.h, c.w}, y = pool_output(c.params, x);
  return {.params = c.params,
          .x = described(type, x),
          .y = described(type, y),
          .argmax = c.params.kind == PoolKind::max ? described(argmax_type(c.params), y) : View{},
          .x_widths = optional(c.widths, DType::i32, {c.n}),
          .y_widths = optional(c.widths, DType::i32, {c.n})};
}

PoolBackward backward(const PoolCase& c, DType type) {
  const auto call = forward(c, type);
  return {.params = c.params,
          .dy = call.y,
          .argmax = call.argmax,
          .dx = call.x,
          .x_widths = call.x_widths,
          .y_widths = call.y_widths};
}

/// Multiples of 1/2 between -2 and 2: many ties.
Values tied(std::string_view of, PoolForward call, Values given) {
  Values values = small_integers(of, bound(call), std::move(given));
  for (double& value : values.at("x").values()) value /= 2;
  return values;
}

TEST_P(Pooling, maxima_and_the_first_of_equals_are_exact) {
  each_case(PoolKind::max, [&](const PoolCase& c, DType type) {
    const auto of = name("forward", c, type);
    expect_agreement(of, forward(c, type), tied(of, forward(c, type), widths(c)));
  });
}

TEST_P(Pooling, maxima_without_argmax_are_exact) {
  each_case(PoolKind::max, [&](const PoolCase& c, DType type) {
    auto call = forward(c, type);
    call.argmax = {};
    expect_agreement(name("forward.inference", c, type), call, widths(c));
  });
}

TEST_P(Pooling, nan_wins_and_infinities_are_numbers) {
  each_case(PoolKind::max, [&](const PoolCase& c, DType type) {
    const auto of = name("forward.not_finite", c, type);
    Values values = tied(of, forward(c, type), widths(c));
    auto x = values.at("x").values();
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i % 7 == 3) x[i] = NAN;
      if (i % 5 == 1) x[i] = -INFINITY;
      if (i % 11 == 4) x[i] = INFINITY;
    }
    expect_agreement(of, forward(c, type), values);
  });
}

TEST_P(Pooling, windows_of_nan_or_of_minus_infinity_only_have_their_first_pixel) {
  each_case(PoolKind::max, [&](const PoolCase& c, DType type) {
    for (const double value : {double{NAN}, double{-INFINITY}})
      expect_agreement(name(fmt::format("forward.all_{}", value), c, type), forward(c, type), [&] {
        Values values = widths(c);
        values["x"] = Tensor({c.n, c.c, c.h, c.w}, value);
        return values;
      }());
  });
}

/// A library's maxima are not the contract's: who asks for its kernels alone is told so.
TEST(cpu_pooling, maxima_of_a_library_are_refused_with_the_reason) {
  auto call = forward(pool_cases.back(), DType::f32);
  try {
    const auto plan = cpu::backend().pool_forward(call, {.kernels = KernelSet::vendor});
    FAIL() << "planned by " << plan.variant;
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("left out by --kernels"));
    EXPECT_THAT(error.what(), testing::HasSubstr("-inf"));
  }
}

TEST_P(Pooling, averages_agree_with_the_reference) {
  each_case(PoolKind::average, [&](const PoolCase& c, DType type) {
    const auto call = forward(c, type);
    expect_agreement(name("forward", c, type), call, widths(c),
                     sum_of_products(call, static_cast<double>(c.params.window_h * c.params.window_w)));
  });
}

TEST_P(Pooling, backward_agrees_with_the_reference) {
  for (const auto kind : {PoolKind::max, PoolKind::average})
    each_case(kind, [&](const PoolCase& c, DType type) {
      const auto of = name("backward", c, type);
      Values values = widths(c);
      if (kind == PoolKind::max) {
        const auto call = forward(c, type);
        values["argmax"] = specified(call, tied(of, call, widths(c))).at("argmax");
      }
      const auto call = backward(c, type);
      expect_agreement(of, call, values,
                       sum_of_products(call, static_cast<double>(c.params.window_h * c.params.window_w)));
    });
}

TEST_P(Pooling, widths_through_windows_are_exact) {
  Tensor widths(Shape{20});
  for (std::int64_t n = 0; n < 20; ++n) widths(n) = static_cast<double>(n);
  for (const std::int64_t extent : {1, 2, 3, 7})
    for (const std::int64_t stride : {1, 2, 3})
      for (const std::int64_t pad : {0, 1, 2}) {
        const WindowWidths call{
            .extent = extent,
            .stride = stride,
            .pad_left = pad,
            .pad_right = pad / 2,
            .width = std::max<std::int64_t>(1, (17 + pad + pad / 2 - extent) / stride + 1),
            .widths = described(DType::i32, {20}),
            .out = described(DType::i32, {20})};
        expect_agreement(fmt::format("window_widths[extent={},stride={},pad={}]", extent, stride, pad), call,
                         {{"widths", widths}});
      }
}

INSTANTIATE_TEST_SUITE_P(on, Pooling, testing::ValuesIn(backends_with<PoolForward>()), backend_name);

}  // namespace
}  // namespace scrawl::test
