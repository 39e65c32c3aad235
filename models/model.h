#pragma once
/// A trained network as a file: weights under PyTorch's names, and everything needed to use them.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/alphabet.h"
#include "models/network.h"
#include "models/recipe.h"
#include "runtime/io/safetensors.h"

namespace scrawl {

/// What a network is, without its weights.
struct ModelDescription {
  Recipe recipe;
  Alphabet alphabet;
  nlohmann::json metrics;  ///< as measured when it was saved; an object
};

/// The JSON that a model file carries: version, architecture and input (the effective recipe), alphabet with
/// its normalisation, metrics.
nlohmann::json to_json(const ModelDescription&);
ModelDescription description_from_json(const nlohmann::json&,
                                       const std::string& source);  ///< throws DataError

/// Parameters and running statistics as they lie in a file. A (bi)LSTM's stacked tensors become PyTorch's
/// weight_ih_l0, weight_hh_l0, bias_ih_l0 and _reverse ones, with bias_hh zero. Everything is f32.
std::vector<StoredTensor> weights_to_file(const Storage&, const Graph&);

/// The inverse; bias_ih and bias_hh are added. Throws DataError naming what is missing, left over or of
/// another shape.
void weights_from_file(Storage&, const Graph&, const TensorFile&, const std::string& source);

std::vector<NamedView> views_of(const std::vector<StoredTensor>&);

/// The weights file that MODEL means: a .safetensors file, or the best weights of a run directory.
/// Throws DataError if there is none.
std::filesystem::path find_model(const std::string& model);

}  // namespace scrawl
