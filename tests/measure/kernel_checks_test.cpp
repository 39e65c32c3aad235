#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bench/kernels/check.h"
#include "bench/kernels/sweep.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(difference, is_none_within_the_tolerance) {
  EXPECT_THAT(difference({{"y", {1.5f, 2.501f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3), IsEmpty());
}

TEST(difference, names_the_output_that_is_off) {
  EXPECT_THAT(difference({{"y", {1.5f, 2.6f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3),
              HasSubstr("y: expected a relative distance"));
  EXPECT_THAT(difference({{"y", {1.5f, NAN}}}, {{"y", {1.5f, 2.5f}}}, 1e-3), HasSubstr("y: "));
  EXPECT_THAT(difference({{"y", {1.5f}}}, {{"y", {1.5f, 2.5f}}}, 1e-3),
              HasSubstr("expected 2 elements, got 1"));
  EXPECT_THAT(difference({}, {{"y", {1.5f}}}, 1e-3), HasSubstr("expected 1 elements, got 0"));
}

TEST(difference, lets_one_integer_of_a_hundred_differ) {
  Values expected{{"argmax", std::vector<float>(200, 3)}}, got = expected;
  got["argmax"][7] = got["argmax"][9] = 1;
  EXPECT_THAT(difference(got, expected, 1e-3), IsEmpty());
  got["argmax"][8] = 1;
  EXPECT_THAT(difference(got, expected, 1e-3), HasSubstr("3 of 200 integers differ"));
}

TEST(difference, of_what_was_never_written_shows) {
  const Values unwritten{{"y", {NAN, NAN}}};
  EXPECT_THAT(difference(unwritten, unwritten, 0), HasSubstr("y: "));
}

TEST(names, are_read_as_they_are_written) {
  for (const auto* const text :
       {"conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]", "copy[elements=300,from=f32,bf16]",
        "activation.forward[elements=300,kind=tanh,tf32]"}) {
    EXPECT_EQ(Name(text).text(), text);
  }
  const Name name("dense.forward[rows=64,I=512,O=256,f16]");
  EXPECT_EQ(name.operation(), "dense.forward");
  EXPECT_EQ(name.type(), "f16");
  EXPECT_EQ(name.at("I"), 512);
  EXPECT_EQ(name.get("bias", 1), 1);
}

std::string refusal_of(std::string_view text) {
  try {
    (void)problem_of(Name(text));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(names, that_mean_nothing_say_what_is_wrong) {
  EXPECT_THAT(refusal_of("dense.forward"), HasSubstr("expected a name like"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,O=256]"), HasSubstr("expected a type among its words"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,O=256,f8]"),
              HasSubstr("f8: expected key=value, or a type"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,f16]"), HasSubstr("expected O=..."));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,O=0,f16]"),
              HasSubstr("O: expected a whole number of at least 1, got 0"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,O=6x,f16]"), HasSubstr("got 6x"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=512,O=2,M=3,f16]"), HasSubstr("M: expected one of"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=5,O=2,I=6,f16]"), HasSubstr("I: expected it once"));
  EXPECT_THAT(refusal_of("dense.forward[rows=64,I=5,O=2,f32,f16]"),
              HasSubstr("expected one type, got f32 and f16"));
  EXPECT_THAT(refusal_of("conv2d.backward_data[N=2,C=3,H=6,W=6,K=8,R=3,bias=1,f32]"),
              HasSubstr("bias: expected one of"));
  EXPECT_THAT(refusal_of("copy[elements=4611686018427387905,f32]"), HasSubstr("expected at most"));
  EXPECT_THAT(refusal_of("dens.forward[rows=64,f16]"), HasSubstr("expected one of activation.backward"));
  EXPECT_THAT(refusal_of("conv2d.forward[N=2,C=3,H=6,W=6,K=8,R=9,f32]"),
              HasSubstr("expected at least 9 pixels for the window"));
  EXPECT_THAT(refusal_of("conv2d.forward[N=2,C=3,H=6,W=6,K=8,R=3,groups=2,f32]"),
              HasSubstr("multiple of groups=2, got 3"));
  EXPECT_THAT(refusal_of("lstm.forward[T=2,N=2,I=4,H=4,D=3,f32]"),
              HasSubstr("expected 1 or 2 directions, got 3"));
}

class Sweep : public testing::Test {
 protected:
  std::unique_ptr<Device> device = open_device({.device = "cpu", .threads = 1});
  std::vector<Listed> listed = of_networks(*device, {"crnn", "cnn62", "mnist"}, {64, 256}, {"bf16", "f32"});
};

TEST_F(Sweep, of_the_networks_has_each_call_once) {
  std::set<std::string> names;
  for (const auto& [name, layer] : listed) EXPECT_TRUE(names.insert(name.text()).second) << name.text();
  EXPECT_GT(names.size(), 100u);
  EXPECT_TRUE(names.contains("conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]"));
  EXPECT_TRUE(names.contains("lstm.backward[T=64,N=256,I=64,H=256,D=2,f32]"));
  EXPECT_TRUE(names.contains("ctc.gradient[T=64,N=64,K=30,L=24,f32]"));
}

// What a name makes is what the network asked for: it is named alike, and planned by the same variant.
TEST_F(Sweep, names_what_can_be_made_again) {
  for (const auto& list : {listed, of_rows({"bf16"}), of_others({"f32"}), tiny({"bf16", "tf32"})})
    for (const auto& [name, layer] : list) {
      const auto problem = problem_of(Name(name.text()));
      EXPECT_EQ(problem.name, name.text());
      EXPECT_GT(problem.cost.bytes, 0) << name.text();
      EXPECT_EQ(multiplies(name), problem.cost.flops > 0) << name.text();
      for (const auto extents : {Extents::few, Extents::small})
        EXPECT_NO_THROW((void)problem_of(smaller(name, extents))) << name.text();
    }
}

TEST_F(Sweep, has_each_operation_in_a_small_form) {
  std::set<std::string> small;
  for (const auto& [name, layer] : tiny({"f32"})) small.insert(name.operation());
  for (const auto& operation : operations()) EXPECT_TRUE(small.contains(operation)) << operation;
}

TEST(problems, cost_what_the_roofline_says) {
  const auto cost = problem_of(Name("conv2d.forward[N=64,C=512,H=30,W=30,K=256,R=3,bf16]")).cost;
  EXPECT_NEAR(cost.flops / 64, 1850e6, 5e6);
  EXPECT_EQ(cost.bytes, 2.0 * (64 * 512 * 30 * 30 + 256 * 512 * 9 + 64 * 256 * 28 * 28));
}

TEST(problems, of_moments_cost_the_convolution_and_two_vectors) {
  const auto cost_of = [](const std::string& operation) {
    return problem_of(Name(operation + "[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]")).cost;
  };
  EXPECT_EQ(cost_of("conv2d_moments.forward").flops, cost_of("conv2d.forward").flops);
  EXPECT_EQ(cost_of("conv2d_moments.forward").bytes,
            cost_of("conv2d.forward").bytes + 2 * 64 * sizeof(float));
}

// Each variant in turn, by leaving out those before it, and none of them twice.
TEST(variants, are_taken_one_by_one) {
  const auto device = open_device({.device = "cpu", .threads = 1});
  const auto problem = problem_of(copy_of(4096));
  const auto names = problem.variants(*device, device->selection());
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const auto& name : names) {
    const auto before = all_before(problem, *device, device->selection(), name);
    ASSERT_TRUE(before.has_value());
    auto selection = device->selection();
    selection.without = *before;
    const auto work = problem.place(*device, selection);
    EXPECT_EQ(work->variant(), name);
    work->run();
    const auto values = work->outputs(1 << 20).at("y");
    EXPECT_EQ(values.size(), 1024u);
    EXPECT_THAT(values, testing::Each(testing::Not(testing::IsNan())));
  }
  EXPECT_EQ(all_before(problem, *device, device->selection(), "none of them"), std::nullopt);
}

}  // namespace
}  // namespace scrawl::bench
