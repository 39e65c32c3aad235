/// The choice file, word for word, and what planning makes of it.

#include "runtime/device/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/cpu/backend.h"
#include "runtime/graph/program.h"
#include "tests/graph/test_device.h"
#include "tests/io/messages.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

using json = nlohmann::json;

Choices with(std::vector<Choice> calls) {
  return {{.device = "cpu",
           .processor = "A CPU",
           .libraries = "L 1",
           .threads = 2,
           .commit = "abc",
           .date = "2026-11-22T00:00:00Z",
           .recipe = "tiny",
           .batch = 8,
           .type = "f32"},
          std::move(calls)};
}

Choices sample() {
  return with({{.call = "add[](f32 2, f32 2, f32 2)",
                .variant = "b",
                .measured = {{"a", 2.5, 2.25, 3}, {"b", 1.5, 1.25, 1.75}}},
               {.call = "copy[](u8 2, f32 2)", .variant = "a", .measured = {}}});
}

TEST(choice_file, says_the_same_after_a_round_trip) {
  const auto written = sample();
  const auto read = Choices::parse(written.text(), "file.json");
  EXPECT_EQ(read.header(), written.header());
  EXPECT_EQ(read.calls(), written.calls());
  EXPECT_EQ(read.hash(), written.hash());
  EXPECT_EQ(read.source(), "file.json");
  ASSERT_NE(read.find("copy[](u8 2, f32 2)"), nullptr);
  EXPECT_EQ(read.find("copy[](u8 2, f32 2)")->variant, "a");
  EXPECT_EQ(read.find("copy[](u8 3, f32 3)"), nullptr);
}

TEST(choice_file, has_the_hash_of_its_bytes) {
  const auto text = sample().text();
  EXPECT_NE(Choices::parse(text + " ", "f").hash(), Choices::parse(text, "f").hash());
  TemporaryFolder folder;
  std::ofstream(folder / "c.json") << text;
  const auto read = Choices::read(folder / "c.json");
  EXPECT_EQ(read.hash(), sample().hash());
  EXPECT_EQ(read.source(), (folder / "c.json").string());
  EXPECT_MESSAGE(Choices::read(folder / "absent.json"), DataError, "absent.json");
}

/// The sample with one thing changed.
std::string changed(const std::function<void(json&)>& change) {
  auto file = json::parse(sample().text());
  change(file);
  return file.dump();
}

TEST(choice_file, is_refused_for_every_word_that_does_not_belong) {
  const auto refuse = [](const std::function<void(json&)>& change, const char* first, const char* second) {
    EXPECT_MESSAGE(Choices::parse(changed(change), "f.json"), UsageError, "f.json", first, second);
  };
  EXPECT_MESSAGE(Choices::parse("choices = 1", "f.json"), UsageError, "f.json",
                 "a choice file of scrawl tune");
  EXPECT_MESSAGE(Choices::parse("[]", "f.json"), UsageError, "f.json", "expected an object, got []");
  refuse([](json& f) { f["choices"] = 2; }, "expected version 1, got 2", "scrawl tune");
  refuse([](json& f) { f.erase("choices"); }, "expected choices", "got nothing");
  refuse([](json& f) { f["choices"] = "1"; }, "choices: expected a whole number", "got \"1\"");
  refuse([](json& f) { f["speed"] = 3; }, "expected", "got speed");
  refuse([](json& f) { f.erase("processor"); }, "expected processor", "got nothing");
  refuse([](json& f) { f["threads"] = 1.5; }, "threads: expected a whole number", "got 1.5");
  refuse([](json& f) { f["calls"] = "none"; }, "calls: expected a list", "got \"none\"");
  refuse([](json& f) { f["calls"][1] = 3; }, "call 2: expected an object", "got 3");
  refuse([](json& f) { f["calls"][1].erase("variant"); }, "call 2: expected variant", "got nothing");
  refuse([](json& f) { f["calls"][1]["variants"] = "a"; }, "call 2: expected", "got variants");
  refuse([](json& f) { f["calls"][0]["measured"][0]["us"] = "2"; }, "us: expected a number", "got \"2\"");
  refuse([](json& f) { f["calls"][0]["measured"][0]["mean"] = 2; }, "call 1: measured", "got mean");
  refuse([](json& f) { f["calls"][1] = f["calls"][0]; }, "expected each call once",
         "add[](f32 2, f32 2, f32 2)");
}

TEST(choice_file, is_of_one_device_and_one_processor) {
  const auto device = testing::host_device(cpu::backend());
  const auto follow = [&](const std::string& name, const std::string& processor) {
    auto header = sample().header();
    header.device = name;
    header.processor = processor;
    device->follow(std::make_shared<const Choices>(header, std::vector<Choice>()));
  };
  EXPECT_MESSAGE(follow("cuda", processor_of(*device)), UsageError,
                 "device: expected choices for cpu, got choices for cuda", "scrawl tune");
  EXPECT_MESSAGE(follow("cpu", "B CPU"), UsageError,
                 "processor: expected choices for " + processor_of(*device), "got choices for B CPU");
  EXPECT_EQ(device->choices(), nullptr);
  follow("cpu", processor_of(*device));
  EXPECT_NE(device->choices(), nullptr);
}

/// Gives y the variant's number.
template <int number>
Plan<ActivationForward> gives(ActivationForward&, const Selection&) {
  return {.variant = "", .run = [](const ActivationForward& call, Bytes, Stream) {
            std::fill_n(call.y.as<float>(), call.y.shape.count(), static_cast<float>(number));
          }};
}

Plan<ActivationForward> refuses(ActivationForward&, const Selection&) { throw Refused("needs a GPU"); }

Plan<ActivationForward> listed(ActivationForward& call, const Selection& selection) {
  static constexpr Variant<ActivationForward> variants[] = {{"usual", Origin::native, gives<1>},
                                                            {"picky", Origin::native, refuses},
                                                            {"other", Origin::vendor, gives<2>}};
  return first_variant<ActivationForward>("activation_forward", variants, call, selection);
}

class Planned : public ::testing::Test {
 protected:
  Planned() {
    backend_.activation_forward = listed;
    device_ = testing::host_device(backend_);
    const auto x = graph_.input("x", matrix_spec(DType::f32, {2, 3}));
    graph_.output("relu", graph_.add("first", ops::Activate{Activation::relu}, {x})[0]);
    graph_.output("tanh", graph_.add("second", ops::Activate{Activation::tanh}, {x})[0]);
  }

  ProgramPlan plan(const Choices* choices) {
    return plan_program(graph_, {}, backend_, device_->selection(), choices);
  }

  /// What the two activations give.
  std::vector<float> given(ProgramPlan plan) {
    Storage storage(*device_);
    Arena arena(*device_);
    Program program(*device_, storage, arena, std::move(plan));
    program.run();
    return {program.read<float>("relu").at(0), program.read<float>("tanh").at(0)};
  }

  static Choices relu_by(const std::string& variant) {
    return with({{.call = "activation_forward[relu, inference](f32 2x3, f32 2x3)",
                  .variant = variant,
                  .measured = {}},
                 {.call = "add[](f32 9, f32 9, f32 9)", .variant = "of another network", .measured = {}}});
  }

  Backend backend_ = cpu::backend();
  std::unique_ptr<Device> device_;
  Graph graph_;
};

TEST_F(Planned, a_call_takes_the_variant_of_its_choice_and_others_their_lists_first) {
  EXPECT_EQ(given(plan(nullptr)), (std::vector<float>{1, 1}));
  const auto choices = relu_by("other");
  const auto chosen = plan(&choices);
  EXPECT_TRUE(chosen.steps[0].is_chosen);
  EXPECT_FALSE(chosen.steps[1].is_chosen);
  ASSERT_EQ(chosen.steps[0].call.refused.size(), 2u);
  EXPECT_EQ(chosen.steps[0].call.refused[0].reason, "left out by the choice file");
  EXPECT_EQ(chosen.steps[0].call.refused[1].reason, "needs a GPU");
  EXPECT_EQ(given(chosen), (std::vector<float>{2, 1}));
}

TEST_F(Planned, the_lists_first_can_be_the_choice) {
  const auto choices = relu_by("usual");
  const auto chosen = plan(&choices);
  EXPECT_TRUE(chosen.steps[0].is_chosen);
  EXPECT_EQ(given(chosen), (std::vector<float>{1, 1}));
}

TEST_F(Planned, a_choice_that_does_not_take_its_call_is_an_error_that_says_why) {
  const auto refused = relu_by("picky"), unknown = relu_by("fastest");
  EXPECT_MESSAGE(plan(&refused), UsageError, "activation_forward[relu, inference](f32 2x3, f32 2x3)",
                 "(usual, other), got picky", "picky: needs a GPU", "scrawl tune");
  EXPECT_MESSAGE(plan(&unknown), UsageError, "(usual, other), got fastest");
  const auto other = relu_by("other");
  EXPECT_MESSAGE(plan_program(graph_, {}, backend_, {.kernels = KernelSet::native}, &other), UsageError,
                 "(usual), got other", "other: left out by --kernels");
}

TEST_F(Planned, what_a_call_is_known_by_tells_parameters_shapes_and_products_apart) {
  const auto lowered = lower(graph_, {});
  const auto key = [&](std::size_t i, F32Products products) {
    return key_of(lowered, lowered.steps[i], products);
  };
  EXPECT_EQ(key(0, F32Products::exact), "activation_forward[relu, inference](f32 2x3, f32 2x3)");
  EXPECT_EQ(key(1, F32Products::exact), "activation_forward[tanh, inference](f32 2x3, f32 2x3)");
  EXPECT_EQ(key(0, F32Products::tf32), key(0, F32Products::exact) + " tf32");
}

TEST_F(Planned, programs_follow_their_device) {
  auto header = sample().header();
  header.processor = processor_of(*device_);
  device_->follow(std::make_shared<const Choices>(header, relu_by("other").calls()));
  Storage storage(*device_);
  Arena arena(*device_);
  Program program(*device_, storage, arena, graph_, {});
  program.run();
  EXPECT_EQ(program.read<float>("relu").at(0), 2);
}

}  // namespace
}  // namespace scrawl
