#include "kernels/softmax.h"

#include <algorithm>

#include "kernels/loss.h"
#include "tests/cases/softmax.h"
#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

using Softmax = EveryBackend;

constexpr double u = 0x1p-24;  // sums are f32

constexpr std::array kinds{SoftmaxKind::softmax, SoftmaxKind::log_softmax};

std::string name(std::string_view operation, SoftmaxKind kind, const RowsCase& c, DType type) {
  return fmt::format("{}.{}[N={},K={},{}]", kind == SoftmaxKind::softmax ? "softmax" : "log_softmax",
                     operation, c.rows, c.classes, name_of(type));
}

SoftmaxForward forward(SoftmaxKind kind, const RowsCase& c, DType type) {
  const auto x = described(type, {c.rows, c.classes});
  return {.kind = kind, .x = x, .y = x};
}

/// 10 u of the value. Of a logarithm near 0, 10 u of the terms that cancel: x - max and log K at most.
Tolerances forward_tolerances(const Values& values, const Values& expected, SoftmaxKind kind) {
  const double cancelled = kind == SoftmaxKind::log_softmax ? 1 + largest(expected.at("y")) : 0;
  // An exponent of 100 has a rounding of 100 u, which the exponential turns into a relative error.
  const auto x = values.at("x").values();
  const auto [least, most] = std::ranges::minmax_element(x);
  const double spread = x.empty() || !std::isfinite(*most - *least) ? 0 : std::min(*most - *least, 100.0);
  Tensor absolute = expected.at("y");
  for (double& value : absolute.values())
    value = 10 * u * cancelled + (kind == SoftmaxKind::softmax ? spread * u * value : 0);
  return {{"y", {.ulps = 10, .absolute = absolute}}};
}

template <class F>
void each_case(F&& f) {
  for (const auto& c : rows_cases)
    for (const auto kind : kinds)
      for (const auto type : storage_types) f(kind, c, type);
}

TEST_P(Softmax, forward_agrees_with_the_reference) {
  each_case([&](SoftmaxKind kind, const RowsCase& c, DType type) {
    expect_agreement(name("forward", kind, c, type), forward(kind, c, type), {},
                     [&](const Values& values, const Values& expected) {
                       return forward_tolerances(values, expected, kind);
                     });
  });
}

TEST_P(Softmax, backward_agrees_with_the_reference) {
  each_case([&](SoftmaxKind kind, const RowsCase& c, DType type) {
    const auto of = name("backward", kind, c, type);
    auto there = forward(kind, c, type);
    const SoftmaxBackward call{.kind = kind, .y = there.y, .dy = there.y, .dx = there.y};
    const Values y{{"y", specified(there, complete(of, bound(there), {})).at("y")}};
    expect_agreement(of, call, y, [&](const Values& values, const Values&) -> Tolerances {
      // What cancels in dy - sum: its largest term is sum |dy| over the row.
      Tensor absolute = values.at("dy");
      for (std::int64_t n = 0; n < c.rows; ++n) {
        double sum = 0;
        for (std::int64_t k = 0; k < c.classes; ++k) {
          const double p = kind == SoftmaxKind::softmax ? values.at("y")(n, k) : 1;
          sum += std::abs(p * values.at("dy")(n, k));
        }
        for (std::int64_t k = 0; k < c.classes; ++k) {
          const double y_nk = values.at("y")(n, k), p = kind == SoftmaxKind::softmax ? y_nk : std::exp(y_nk);
          const double own =
              kind == SoftmaxKind::softmax ? p * std::abs(absolute(n, k)) : std::abs(absolute(n, k));
          absolute(n, k) = 10 * u * (own + p * sum);
        }
      }
      return {{"dx", {.ulps = 10, .absolute = absolute}}};
    });
  });
}

TEST_P(Softmax, every_width_up_to_4096_sums_to_one) {
  if (!has<SoftmaxForward>()) GTEST_SKIP() << "no softmax here";
  for (std::int64_t classes = 1; classes <= 4096; ++classes) {
    auto call = forward(SoftmaxKind::softmax, {2, classes}, DType::f32);
    const auto of = name("width", call.kind, {2, classes}, DType::f32);
    const auto observed = observe(backend(), setting(), call, complete(of, bound(call), {}));
    ASSERT_THAT(observed.problems, testing::IsEmpty()) << of;
    for (std::int64_t n = 0; n < 2; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < classes; ++k) sum += observed.outputs.at("y")(n, k);
      ASSERT_NEAR(sum, 1, 1e-5) << of;
    }
  }
}

TEST_P(Softmax, rows_that_are_not_finite_agree_with_the_reference) {
  for (const auto kind : kinds)
    for (const std::int64_t classes : {1, 5, 16, 17, 62, 200}) {
      const RowsCase c{7, classes};
      const auto of = name("not_finite", kind, c, DType::f32);
      auto call = forward(kind, c, DType::f32);
      Values values = complete(of, bound(call), {});
      Tensor& x = values.at("x");
      for (std::int64_t k = 0; k < classes; ++k) {
        x(1, k) = -INFINITY;
        if (k % 2 == 1) x(2, k) = -INFINITY;
        x(5, k) = 3e38;
      }
      x(3, classes / 2) = NAN;
      x(4, classes - 1) = INFINITY;
      expect_agreement(of, call, values, [&](const Values&, const Values&) -> Tolerances {
        return {{"y", {.ulps = 10, .absolute = everywhere(1e-5)}}};
      });
    }
}

TEST_P(Softmax, a_large_offset_cancels) {
  for (const auto kind : kinds) {
    const RowsCase c{4, 37};
    const auto of = name("offset", kind, c, DType::f32);
    auto call = forward(kind, c, DType::f32);
    Values values = complete(of, bound(call), {});
    for (double& x : values.at("x").values()) x -= 1e7;
    expect_agreement(of, call, values, [&](const Values& given, const Values& expected) {
      return forward_tolerances(given, expected, kind);
    });
  }
}

TEST_P(Softmax, cross_entropy_agrees_with_the_reference) {
  for (const auto& c : rows_cases)
    for (const auto type : storage_types)
      for (const float smoothing : {0.0f, 0.1f})
        for (const auto adjusted : {Optional::absent, Optional::present}) {
          const CrossEntropy call{.label_smoothing = smoothing,
                                  .x = described(type, {c.rows, c.classes}),
                                  .adjustment = optional(adjusted, DType::f32, {c.classes}),
                                  .targets = described(DType::i32, {c.rows}),
                                  .loss = described(DType::f32, {c.rows}),
                                  .d_x = described(DType::f32, {c.rows, c.classes})};
          Tensor targets(Shape{c.rows});
          for (std::int64_t n = 0; n < c.rows; ++n)
            targets(n) = n % 4 == 2 ? -1 : static_cast<double>(7 * n % c.classes);
          const auto of =
              fmt::format("cross_entropy[N={},K={},smoothing={}{},{}]", c.rows, c.classes, smoothing,
                          adjusted == Optional::present ? ",adjusted" : "", name_of(type));
          expect_agreement(of, call, {{"targets", targets}},
                           [&](const Values& values, const Values&) -> Tolerances {
                             const double size =
                                 1 + 2 * largest(values.at("x")) + std::log(static_cast<double>(c.classes));
                             return {{"loss", {.ulps = 10, .absolute = everywhere(10 * u * size)}},
                                     {"d_x", {.ulps = 10, .absolute = everywhere(10 * u)}}};
                           });
          auto loss_only = call;
          loss_only.d_x = {};
          expect_agreement(of + ".loss", loss_only, {{"targets", targets}},
                           [&](const Values& values, const Values&) -> Tolerances {
                             const double size =
                                 1 + 2 * largest(values.at("x")) + std::log(static_cast<double>(c.classes));
                             return {{"loss", {.ulps = 10, .absolute = everywhere(10 * u * size)}}};
                           });
        }
}

TEST_P(Softmax, scaled_rows_are_exact_and_a_zero_scale_stops_infinities) {
  for (const Shape& x :
       {Shape{3, 5}, Shape{1, 1}, Shape{7, 33}, Shape{4, 3, 30}, Shape{5, 2, 16}, Shape{2, 9, 62}})
    for (const auto type : storage_types) {
      const ScaleRows call{.x = described(DType::f32, x),
                           .scale = described(DType::f32, {x[x.rank - 2]}),
                           .y = described(type, x)};
      const auto of = fmt::format("scale_rows[{},{}]", to_string(x), name_of(type));
      auto copy = call;
      Values values = complete(of, bound(copy), {});
      values.at("scale").values()[0] = 0;
      values.at("x").values()[0] = INFINITY;
      // Rounded to f32, then to bf16: half an ulp and a little.
      expect_agreement(of, call, values, [&](const Values&, const Values&) -> Tolerances {
        if (type == DType::f32) return {};
        return {{"y", {.ulps = 1.01}}};
      });
    }
}

TEST_P(Softmax, means_agree_with_the_reference) {
  for (const std::int64_t count : {1, 3, 16, 17, 257}) {
    const auto x = described(DType::f32, {count}), one = described(DType::f32, {1});
    const MeanForward forward{.x = x, .y = one};
    expect_agreement(fmt::format("mean.forward[N={}]", count), forward, {},
                     sum_of_products(forward, static_cast<double>(count)));
    for (const auto upstream : {Optional::absent, Optional::present})
      for (const auto scaled : {Optional::absent, Optional::present}) {
        const MeanBackward backward{.dy = optional(upstream, DType::f32, {1}),
                                    .control = optional(scaled, DType::f32, {Control::count}),
                                    .dx = x};
        Tensor control(Shape{Control::count});
        control(Control::loss_scale) = 1024;
        expect_agreement(
            fmt::format("mean.backward[N={}{}{}]", count, upstream == Optional::present ? ",dy" : "",
                        scaled == Optional::present ? ",scaled" : ""),
            backward, {{"control", control}}, [](const Values&, const Values&) -> Tolerances {
              return {{"dx", {.ulps = 4}}};
            });
      }
  }
}

INSTANTIATE_TEST_SUITE_P(on, Softmax,
                         testing::ValuesIn(backends_with<SoftmaxForward, CrossEntropy, MeanForward>()),
                         backend_name);

}  // namespace
}  // namespace scrawl::test
