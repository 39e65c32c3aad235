/// What is chosen of measured times, and that what is chosen runs.

#include "bench/tune/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "bench/kernels/bench.h"
#include "models/network.h"
#include "tests/graph/tiny_recipe.h"
#include "tests/io/messages.h"

namespace scrawl::bench {
namespace {

TEST(tuning, takes_another_than_the_first_only_beyond_the_spread_of_both) {
  const Choice::Time first{"a", 10, 9, 12};
  EXPECT_EQ(choose({first}, "a"), "a");
  EXPECT_EQ(choose({first, {"b", 8, 7, 9.5}}, "a"), "a");  // within the first's spread
  EXPECT_EQ(choose({first, {"b", 8, 7, 8.5}}, "a"), "b");
  EXPECT_EQ(choose({first, {"b", 8, 7, 8.5}, {"c", 5, 4, 6}, {"d", 4, 3, 9}}, "a"),
            "c");                                          // d spreads too far
  EXPECT_EQ(choose({{"b", 8, 7, 8.5}, first}, "a"), "b");  // before it in the list, refused in the network
}

TEST(tuning, is_worth_it_where_one_is_faster_and_none_slower) {
  const auto worth = [](std::vector<Verdict> verdicts) {
    Tuned tuned{.choices = {{}, {}}, .calls = {}, .wholes = {}};
    for (const auto verdict : verdicts) tuned.wholes.push_back({"", {}, verdict});
    return tuned.is_worth_it();
  };
  EXPECT_FALSE(worth({}));
  EXPECT_FALSE(worth({Verdict::the_same, Verdict::the_same}));
  EXPECT_TRUE(worth({Verdict::faster, Verdict::the_same}));
  EXPECT_FALSE(worth({Verdict::faster, Verdict::slower}));
}

TEST(tuning, looks_thrice_at_what_seems_slow) {
  std::vector<std::vector<double>> samples{{9, 1}, {1, 1, 1}, {8, 7, 9, 1}};
  std::vector<std::size_t> taken(samples.size(), 0);
  std::vector<Sampler> samplers;
  for (std::size_t i = 0; i < samples.size(); ++i)
    samplers.push_back([&, i] { return samples[i].at(taken[i]++); });
  EXPECT_EQ(first_look(samplers, 3), (std::vector<double>{1, 1, 7}));
  EXPECT_EQ(taken, (std::vector<std::size_t>{2, 1, 3}));
  EXPECT_TRUE(first_look({}, 3).empty());
}

TEST(tuning, of_a_recipe_chooses_among_what_took_each_call_and_can_be_followed) {
  const auto device = open_device({.device = "cpu", .threads = 2});
  const auto recipe = testing::tiny_recipe();
  std::vector<std::string> told;
  const auto tuned = tune(
      recipe, *device, {.classes = 5, .batch = 4, .longest_label = 3, .seconds = 0.01, .step_seconds = 0.01},
      [&](const std::string& line) { told.push_back(line); });
  ASSERT_FALSE(tuned.calls.empty());
  EXPECT_GE(told.size(), tuned.calls.size() / 2);
  std::size_t kept = 0;
  for (const auto& call : tuned.calls) {
    SCOPED_TRACE(call.name);
    if (!call.is_kept) {
      EXPECT_NE(call.note, "");
      EXPECT_EQ(tuned.choices.find(call.choice.call), nullptr);
      continue;
    }
    ++kept;
    EXPECT_EQ(call.choice.variant, choose(call.choice.measured, call.first));
    for (const auto& time : call.choice.measured) {
      EXPECT_GT(time.p10, 0);
      EXPECT_LE(time.p10, time.us);
      EXPECT_LE(time.us, time.p90);
    }
    ASSERT_NE(tuned.choices.find(call.choice.call), nullptr);
  }
  EXPECT_EQ(tuned.choices.calls().size(), kept);
  EXPECT_TRUE(std::ranges::any_of(tuned.calls,
                                  [](const auto& c) { return c.name.starts_with("conv2d") && c.uses > 0; }));
  EXPECT_EQ(tuned.choices.header().device, "cpu");
  EXPECT_EQ(tuned.choices.header().processor, processor_of(*device));
  EXPECT_EQ(tuned.choices.header().batch, 4);

  // Every call in the file is one of a program's, and takes what the file says.
  std::set<std::string> followed;
  for (const auto use : {NetworkUse::training, NetworkUse::evaluation, NetworkUse::prediction}) {
    const auto network = build_network(recipe, 5, {4, 0, 3}, use, DType::f32);
    const auto plan = plan_program(
        network.graph,
        {.loss = network.loss,
         .optimizer = use == NetworkUse::training ? std::optional(OptimizerSettings{}) : std::nullopt},
        device->backend(), device->selection(), &tuned.choices);
    for (const auto& step : plan.steps) {
      if (!step.is_chosen) continue;
      followed.insert(step.key);
      EXPECT_EQ(step.call.variant, tuned.choices.find(step.key)->variant) << step.key;
    }
  }
  EXPECT_EQ(followed.size(), kept);
}

TEST(tuning, of_a_forward_is_followed_by_the_backward_that_reads_what_it_keeps) {
  const auto device = open_device({.device = "cpu", .threads = 2});
  const auto recipe = parse_recipe(R"(
name = "recurrent"
[input]
height = 8
width = 16
[data]
labels = "text"
[network]
layers = [ { type = "conv", filters = 4, kernel = 3, padding = "same" }, { type = "columns" },
           { type = "lstm", units = 16 }, { type = "classes" } ]
)",
                                   "test");
  const auto network = build_network(recipe, 5, {4, 0, 3}, NetworkUse::training, DType::f32);
  const auto planned = [&](const Choices* choices) {
    std::map<std::string, PlannedStep> steps;
    const auto plan =
        plan_program(network.graph, {.loss = network.loss, .optimizer = std::optional(OptimizerSettings{})},
                     device->backend(), device->selection(), choices);
    for (const auto& step : plan.steps)
      if (step.key.starts_with("lstm")) steps[step.key.substr(0, step.key.find('['))] = step;
    return steps;
  };
  auto before = planned(nullptr);
  ASSERT_NE(before["lstm_forward"].call.variant, "onednn");
  EXPECT_EQ(before["lstm_backward"].call.variant, before["lstm_forward"].call.variant);
  const Choices choices({}, {{.call = before["lstm_forward"].key, .variant = "onednn", .measured = {}}});
  auto after = planned(&choices);
  EXPECT_EQ(after["lstm_forward"].call.variant, "onednn");
  EXPECT_EQ(after["lstm_backward"].call.variant, "onednn");
  const Choices apart(
      {}, {choices.calls()[0], {.call = before["lstm_backward"].key, .variant = "lanes", .measured = {}}});
  EXPECT_MESSAGE(planned(&apart), UsageError, "got lanes", "needs the reserve of our own forward");
}

TEST(tuning, is_refused_where_times_mean_nothing) {
  std::unique_ptr<Device> device;
  try {
    device = open_device({.device = "simt"});
  } catch (const DeviceError&) {
    GTEST_SKIP() << "this build has no simt";
  }
  EXPECT_MESSAGE(tune(testing::tiny_recipe(), *device, {}, [](const std::string&) {}), DeviceError,
                 "expected cpu or cuda, got simt");
}

}  // namespace
}  // namespace scrawl::bench
