/// A model file gives the log-probabilities that PyTorch gives with the same weights
/// (tests/golden/make_model_golden.py).

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/backend.h"
#include "models/model.h"
#include "tests/graph/test_device.h"

namespace scrawl {
namespace {

const std::string golden = SCRAWL_SOURCE_DIR "/tests/golden/";

// Sums of a few hundred f32 products through seven layers, and bf16's 8 bits through the same.
struct Tolerance {
  DType type;
  double most;
};

TEST(model_file, log_probabilities_are_those_of_pytorch) {
  const auto file = read_safetensors(golden + "model.safetensors");
  const auto expected = read_safetensors(golden + "model_expected.safetensors");
  const auto* const pixels = expected.find("pixels");
  const auto* const log_p = expected.find("log_probabilities");
  ASSERT_TRUE(pixels && log_p);
  const auto model = description_from_json(file.metadata, "golden");
  for (const auto& [type, most] : {Tolerance{DType::f32, 2e-4}, Tolerance{DType::bf16, 0.1}}) {
    const auto device = testing::host_device(cpu::backend());
    Storage storage(*device);
    Arena arena(*device);
    const auto network = build_network(model.recipe, model.alphabet.classes(), {.batch = pixels->shape[0]},
                                       NetworkUse::prediction, type);
    weights_from_file(storage, network.graph, file, "golden");
    Program program(*device, storage, arena,
                    plan_program(lower(network.graph, {}), device->backend(), device->selection()));
    device->upload(program.input("pixels").data, pixels->bytes);
    program.prepare();
    program.run();
    const auto got = program.output("log_probabilities");
    ASSERT_EQ(got.shape, log_p->shape);
    double worst = 0;
    for (std::int64_t i = 0; i < got.shape.count(); ++i) {
      double reference;
      std::memcpy(&reference, log_p->bytes.data() + static_cast<std::size_t>(i) * sizeof reference,
                  sizeof reference);
      worst = std::max(worst, std::abs(got.as<float>()[i] - reference));
    }
    EXPECT_LT(worst, most) << name_of(type);
  }
}

TEST(model_file, a_missing_and_a_foreign_tensor_are_named) {
  auto file = read_safetensors(golden + "model.safetensors");
  const auto model = description_from_json(file.metadata, "golden");
  const auto device = testing::host_device(cpu::backend());
  Storage storage(*device);
  const auto network =
      build_network(model.recipe, model.alphabet.classes(), {}, NetworkUse::prediction, DType::f32);
  auto without = file;
  std::erase_if(without.tensors, [](const StoredTensor& t) { return t.name == "conv1.weight"; });
  EXPECT_THROW(weights_from_file(storage, network.graph, without, "golden"), DataError);
  auto with = file;
  with.tensors.push_back({"stranger", DType::f32, {1}, std::vector<std::byte>(4)});
  EXPECT_THROW(weights_from_file(storage, network.graph, with, "golden"), DataError);
}

}  // namespace
}  // namespace scrawl
