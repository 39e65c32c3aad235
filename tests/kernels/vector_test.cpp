/// The vector building block of the CPU kernels against double precision. Compiled twice: for this machine's
/// processor and for the oldest one.

#include "kernels/cpu/vector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace scrawl::cpu {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Distance from the exact value in units of the last place that an f32 of its size has.
double ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : inf;
  if (std::isinf(exact) || std::abs(exact) > 0x1.ffffffp127)
    return got == static_cast<float>(exact) ? 0 : inf;
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::abs(got - exact) / std::ldexp(1.0, (exact == 0 ? -126 : exponent) - 23);
}

/// The worst error over every 4099th f32, both signs, subnormals, infinities and NaN.
template <class Function, class Exact>
double worst_ulps(Function function, Exact exact) {
  double worst = 0;
  alignas(64) float x[lanes], y[lanes];
  for (std::uint64_t start = 0; start < (1ull << 32); start += 4099 * lanes) {
    for (int i = 0; i < lanes; ++i)
      x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(start + 4099ull * i));
    store(y, function(load(x)));
    for (int i = 0; i < lanes; ++i) {
      const double error = ulps(y[i], exact(static_cast<double>(x[i])));
      EXPECT_LT(error, 1e3) << "at " << x[i] << ": " << y[i] << " for " << exact(static_cast<double>(x[i]));
      if (error >= 1e3) return error;
      worst = std::max(worst, error);
    }
  }
  return worst;
}

TEST(vector, exp_is_within_its_documented_error) {
  const double worst = worst_ulps([](f32x16 x) { return exp(x); }, [](double x) { return std::exp(x); });
  RecordProperty("ulps", std::to_string(worst));
  EXPECT_LE(worst, 1.1);
}

TEST(vector, log_is_within_its_documented_error) {
  const double worst = worst_ulps([](f32x16 x) { return log(x); }, [](double x) { return std::log(x); });
  RecordProperty("ulps", std::to_string(worst));
  EXPECT_LE(worst, 1.5);
}

TEST(vector, sigmoid_is_within_its_documented_error) {
  const double worst =
      worst_ulps([](f32x16 x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); });
  RecordProperty("ulps", std::to_string(worst));
  EXPECT_LE(worst, 3);
}

TEST(vector, tanh_is_within_its_documented_error) {
  const double worst = worst_ulps([](f32x16 x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  RecordProperty("ulps", std::to_string(worst));
  EXPECT_LE(worst, 3);
}

TEST(vector, functions_keep_the_edges) {
  const f32x16 x{0.0f, -0.0f, inf, -inf, nan, 1.0f, 104.0f, -104.0f, 1e-40f};
  const f32x16 e = exp(x), l = log(x), t = tanh(x), s = sigmoid(x);
  EXPECT_EQ(e[0], 1.0f);
  EXPECT_EQ(e[2], inf);
  EXPECT_EQ(e[3], 0.0f);
  EXPECT_TRUE(std::isnan(e[4]));
  EXPECT_EQ(e[6], inf);
  EXPECT_EQ(l[0], -inf);
  EXPECT_EQ(l[1], -inf);
  EXPECT_EQ(l[2], inf);
  EXPECT_TRUE(std::isnan(l[3]));
  EXPECT_TRUE(std::isnan(l[4]));
  EXPECT_EQ(l[5], 0.0f);
  EXPECT_TRUE(std::signbit(t[1]));
  EXPECT_EQ(t[2], 1.0f);
  EXPECT_EQ(t[3], -1.0f);
  EXPECT_TRUE(std::isnan(t[4]));
  EXPECT_EQ(s[0], 0.5f);
  EXPECT_EQ(s[2], 1.0f);
  EXPECT_EQ(s[3], 0.0f);
  EXPECT_TRUE(std::isnan(s[4]));
}

TEST(vector, scaled_exponentials_never_underflow) {
  const f32x16 x{0.0f, -1.0f, -87.0f, -336.0f, -5000.0f, -1e30f, -inf, nan, inf, 88.0f, -1e38f, -3e6f};
  const auto [mantissa, exponent] = exp_scaled(x);
  for (const int i : {0, 1, 2, 3, 4, 9}) {
    const double log2 = std::log2(static_cast<double>(mantissa[i])) + exponent[i];
    EXPECT_NEAR(log2, x[i] / std::log(2.0), 2e-7) << x[i];
    EXPECT_EQ(exponent[i], std::rint(exponent[i]));
  }
  for (const int i : {5, 10, 11}) EXPECT_NEAR(exponent[i] / (x[i] / std::log(2.0)), 1, 1e-6) << x[i];
  for (const int i : {0, 1, 2, 3, 4, 5, 6, 9, 10, 11})
    EXPECT_TRUE(mantissa[i] >= 0.7f && mantissa[i] <= 1.42f) << mantissa[i];
  EXPECT_LT(exponent[6], -2.8e38f);
  EXPECT_TRUE(std::isnan(mantissa[7]));
  EXPECT_TRUE(std::isnan(mantissa[8]));
}

TEST(vector, powers_of_two_scale_to_zero_and_infinity) {
  const f32x16 y =
      scale_by_power(broadcast(1.5f), f32x16{0, 1, -1, -126, -149, -200, -inf, 127, 128, 1e30f, -1e30f});
  const float expected[] = {1.5f, 3.0f, 0.75f, 0x1.8p-126f, 0x1p-148f, 0, 0, 0x1.8p127f, inf, inf, 0};
  for (int i = 0; i < 11; ++i) EXPECT_EQ(y[i], expected[i]) << i;
  EXPECT_TRUE(std::isnan(scale_by_power(broadcast(nan), broadcast(-300.0f))[0]));
}

TEST(vector, bf16_conversion_agrees_with_the_scalar_one_on_every_kind_of_value) {
  alignas(64) float x[lanes];
  bf16 narrow[lanes];
  for (std::uint64_t start = 0; start < (1ull << 32); start += 2053 * lanes) {
    for (int i = 0; i < lanes; ++i)
      x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(start + 2053ull * i));
    store(narrow, load(x));
    const f32x16 back = load(narrow);
    for (int i = 0; i < lanes; ++i) {
      ASSERT_EQ(narrow[i].bits, bf16(x[i]).bits) << x[i];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(float(back[i])), std::uint32_t{narrow[i].bits} << 16);
    }
  }
}

TEST(vector, f16_conversion_agrees_with_the_scalar_one) {
  const f32x16 x{0, -0.0f, 1, 65504, 65520, -1e9f, 1e-8f, 6e-8f, 3.14159f, inf, -inf, 0.1f};
  f16 narrow[lanes];
  store(narrow, x);
  const f32x16 back = load(narrow);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(narrow[i].bits, f16(x[i]).bits) << x[i];
    EXPECT_EQ(back[i], static_cast<float>(f16(x[i])));
  }
}

template <class T>
class VectorTail : public testing::Test {};
using Stored = testing::Types<float, bf16, f16>;
TYPED_TEST_SUITE(VectorTail, Stored);

TYPED_TEST(VectorTail, partial_loads_and_stores_touch_nothing_beyond) {
  for (int count = 0; count <= lanes; ++count) {
    std::vector<TypeParam> from(static_cast<std::size_t>(count)), to(lanes, TypeParam(-7.0f));
    for (int i = 0; i < count; ++i) from[static_cast<std::size_t>(i)] = TypeParam(static_cast<float>(i + 1));
    const f32x16 x = load(from.data(), count);
    store(to.data(), x, count);
    for (int i = 0; i < lanes; ++i) {
      EXPECT_EQ(x[i], i < count ? i + 1 : 0);
      EXPECT_EQ(static_cast<float>(to[static_cast<std::size_t>(i)]), i < count ? i + 1 : -7);
    }
  }
}

TEST(vector, masks_select_and_order_as_comparisons_do) {
  const f32x16 a{1, 2, 3, nan, -0.0f, -inf}, b{2, 2, 2, 2, 0.0f, nan};
  const f32x16 one = broadcast(1.0f), zero{};
  const f32x16 lt = select(less(a, b), one, zero), le = select(less_equal(a, b), one, zero);
  const float expected_lt[] = {1, 0, 0, 0, 0, 0}, expected_le[] = {1, 1, 0, 0, 1, 0};
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(lt[i], expected_lt[i]) << i;
    EXPECT_EQ(le[i], expected_le[i]) << i;
  }
  EXPECT_TRUE(any(is_nan(a)));
  EXPECT_FALSE(any(is_nan(one)));
  EXPECT_TRUE(std::isnan(max(one, a)[3]));  // the second operand where either is NaN
  EXPECT_EQ(max(a, one)[3], 1.0f);
  EXPECT_TRUE(std::isnan(min(one, a)[3]));
}

TEST(vector, reductions_cover_every_lane) {
  const f32x16 x{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  EXPECT_EQ(sum(x), 136.0f);
  for (int i = 0; i < lanes; ++i) {
    f32x16 y = -x;
    y[i] = 100.0f;
    EXPECT_EQ(largest(y), 100.0f);
  }
}

TEST(vector, gather_reads_the_table_at_each_lane) {
  const float table[] = {10, 11, 12, 13};
  const f32x16 y = gather(table, lane_numbers() & 3);
  for (int i = 0; i < lanes; ++i) EXPECT_EQ(y[i], 10.0f + static_cast<float>(i & 3));
}

}  // namespace
}  // namespace scrawl::cpu
