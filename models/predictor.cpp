#include "models/predictor.h"

#include "models/data/prepare.h"

namespace scrawl {
namespace {

ModelDescription describe(const TensorFile& file, const std::string& source) {
  if (file.metadata.is_null())
    throw DataError("{}: is no scrawl model: it has weights, but no description of the network", source);
  return description_from_json(file.metadata, source);
}

}  // namespace

Predictor::Predictor(const std::string& model, Device& device, Precision precision)
    : Predictor(find_model(model), device, precision) {}

Predictor::Predictor(const std::filesystem::path& file, Device& device, Precision precision)
    : Predictor(read_safetensors(file), file.string(), device, precision) {}

Predictor::Predictor(const TensorFile& file, const std::string& source, Device& device, Precision precision)
    : description_(describe(file, source)), storage_(device), arena_(device) {
  const auto network = build_network(description_.recipe, description_.alphabet.classes(), {},
                                     NetworkUse::training, DType::f32);
  weights_from_file(storage_, network.graph, file, source);
  recognizer_ = std::make_unique<Recognizer>(device, storage_, arena_, description_.recipe,
                                             description_.alphabet, precision);
}

Recognizer::Reading Predictor::read(const std::filesystem::path& image, int alternatives) {
  const auto& input = description_.recipe.input;
  Batch batch{.n = 1, .h = input.height, .w = input.width, .c = input.channels};
  batch.pixels.resize(input.bytes());
  batch.widths = {prepare(read_image(image, static_cast<Channels>(input.channels)), input, batch.pixels)};
  return recognizer_->read(batch, NetworkUse::prediction, alternatives).at(0);
}

}  // namespace scrawl
