#include "models/model.h"

#include <cmath>
#include <cstring>
#include <set>
#include <system_error>

#include "runtime/train/checkpoint.h"

namespace scrawl {
namespace fs = std::filesystem;
namespace {

std::size_t element_count(const TensorSpec& spec) { return static_cast<std::size_t>(spec.shape.count()); }

/// One direction of a stacked LSTM tensor under PyTorch's name.
struct LstmPart {
  std::string name;
  std::int64_t direction;
  bool zero;  ///< bias_hh: the one trained bias is bias_ih
};

/// The file's tensors for a stored one: itself, or the parts of an LSTM's (rank 3 weights, rank 2 biases).
std::vector<LstmPart> lstm_parts(const Tensor& tensor) {
  const auto dot = tensor.name.rfind('.');
  const auto layer = tensor.name.substr(0, dot + 1), what = tensor.name.substr(dot + 1);
  const bool weight = what == "weight_ih" || what == "weight_hh";
  const bool bias = what == "bias" && tensor.spec.shape.rank == 2;
  std::vector<LstmPart> parts;
  if (!weight && !bias) return parts;
  for (std::int64_t d = 0; d < tensor.spec.shape[0]; ++d) {
    const auto suffix = fmt::format("_l0{}", d == 1 ? "_reverse" : "");
    if (weight)
      parts.push_back({layer + what + suffix, d, false});
    else
      for (const bool hidden : {false, true})
        parts.push_back({fmt::format("{}bias_{}{}", layer, hidden ? "hh" : "ih", suffix), d, hidden});
  }
  return parts;
}

Shape without_first(const Shape& shape) {
  Shape rest;
  for (int i = 1; i < shape.rank; ++i) rest[rest.rank++] = shape[i];
  return rest;
}

bool in_file(const Tensor& t) {
  return t.role == Role::parameter || (t.role == Role::state && t.name != "log_priors");
}

const StoredTensor& require(const TensorFile& file, const std::string& name, const Shape& shape,
                            const std::string& source) {
  const auto* const found = file.find(name);
  if (!found) throw DataError("{}: tensor {} is missing", source, name);
  if (found->type != DType::f32 || found->shape != shape)
    throw DataError("{}: tensor {}: expected f32 {}, got {} {}", source, name, to_string(shape),
                    name_of(found->type), to_string(found->shape));
  const auto values = found->bytes.size() / sizeof(float);
  for (std::size_t i = 0; i < values; ++i) {
    float value;
    std::memcpy(&value, found->bytes.data() + i * sizeof value, sizeof value);
    if (!std::isfinite(value))
      throw DataError("{}: tensor {}: expected finite numbers, got {} at element {}", source, name, value, i);
  }
  return *found;
}

}  // namespace

nlohmann::json to_json(const ModelDescription& d) {
  return {{"version", SCRAWL_VERSION},
          {"architecture", d.recipe.name},
          {"recipe", d.recipe.effective},
          {"input", to_json(d.recipe.input)},
          {"alphabet", nlohmann::json::parse(d.alphabet.to_json())},
          {"metrics", d.metrics.is_null() ? nlohmann::json::object() : d.metrics}};
}

ModelDescription description_from_json(const nlohmann::json& json, const std::string& source) {
  try {
    return {parse_recipe(json.at("recipe").get<std::string>(), source),
            Alphabet::from_json(json.at("alphabet").dump()), json.at("metrics")};
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: is no scrawl model: {}", source, error.what());
  } catch (const UsageError& error) {
    throw DataError("{}: {}", source, error.what());
  }
}

std::vector<StoredTensor> weights_to_file(const Storage& storage, const Graph& graph) {
  std::vector<StoredTensor> stored;
  for (const auto& tensor : graph.tensors()) {
    if (!in_file(tensor)) continue;
    const auto bytes = storage.read(tensor.name);
    const auto parts = lstm_parts(tensor);
    if (parts.empty()) stored.push_back({tensor.name, tensor.spec.type, tensor.spec.shape, bytes});
    for (const auto& part : parts) {
      const auto size = bytes.size() / static_cast<std::size_t>(tensor.spec.shape[0]);
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(size) * part.direction;
      std::vector<std::byte> slice(size);
      if (!part.zero) std::copy_n(from, size, slice.begin());
      stored.push_back({part.name, tensor.spec.type, without_first(tensor.spec.shape), std::move(slice)});
    }
  }
  return stored;
}

void weights_from_file(Storage& storage, const Graph& graph, const TensorFile& file,
                       const std::string& source) {
  std::set<std::string> used;
  for (const auto& tensor : graph.tensors()) {
    if (!in_file(tensor)) continue;
    storage.tensor(tensor.name, tensor.spec);
    const auto parts = lstm_parts(tensor);
    if (parts.empty()) {
      storage.write(tensor.name, require(file, tensor.name, tensor.spec.shape, source).bytes);
      used.insert(tensor.name);
      continue;
    }
    std::vector<float> values(element_count(tensor.spec));
    const auto size = values.size() / static_cast<std::size_t>(tensor.spec.shape[0]);
    for (const auto& part : parts) {
      const auto& from = require(file, part.name, without_first(tensor.spec.shape), source);
      used.insert(part.name);
      for (std::size_t i = 0; i < size; ++i) {
        float value;
        std::memcpy(&value, from.bytes.data() + i * sizeof value, sizeof value);
        values[static_cast<std::size_t>(part.direction) * size + i] += value;
      }
    }
    storage.write(tensor.name, std::as_bytes(std::span(values)));
  }
  for (const auto& tensor : file.tensors)
    if (!used.contains(tensor.name))
      throw DataError("{}: tensor {} is not part of the network", source, tensor.name);
}

std::vector<NamedView> views_of(const std::vector<StoredTensor>& tensors) {
  std::vector<NamedView> views;
  for (const auto& t : tensors)
    views.push_back({t.name, make_view(const_cast<std::byte*>(t.bytes.data()), t.type, t.shape)});
  return views;
}

fs::path find_model(const std::string& model) {
  const fs::path path(model);
  std::error_code nowhere;
  if (fs::is_regular_file(path, nowhere)) return path;
  if (fs::is_directory(path, nowhere)) {
    for (const auto* const which : {"best", "last"})
      if (const auto weights = path / "weights" / (std::string(which) + ".safetensors");
          fs::exists(weights, nowhere))
        return weights;
    const auto latest = latest_checkpoint(path / "checkpoints");
    throw DataError("{}: expected weights/best.safetensors in a run directory, found none{}", model,
                    latest ? fmt::format("; its first epoch has not ended: {} holds the weights so far",
                                         (*latest / "weights.safetensors").string())
                           : "");
  }
  throw DataError("{}: no such model: expected a run directory or a .safetensors file", model);
}

}  // namespace scrawl
