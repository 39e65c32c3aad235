#include "models/warm_start.h"

#include <algorithm>
#include <cstring>

namespace scrawl {
namespace {

bool has(const Alphabet& alphabet, const std::string& symbol) {
  return std::ranges::find(alphabet.symbols(), symbol) != alphabet.symbols().end();
}

/// The class in `to` that row `c` of a `from` output layer belongs to, or none.
std::optional<std::int64_t> class_in(const Alphabet& to, const Alphabet& from, std::int64_t c) {
  const auto first = from.classes() - static_cast<int>(from.symbols().size());
  if (c < first) return c;  // the blank
  const auto found = std::ranges::find(to.symbols(), from.symbols()[static_cast<std::size_t>(c - first)]);
  if (found == to.symbols().end()) return std::nullopt;
  return first + (found - to.symbols().begin());
}

/// The network's starting values with the file's rows laid over them.
StoredTensor move_rows(const Storage& storage, const Tensor& tensor, const StoredTensor& file,
                       const Alphabet& from, const Alphabet& to, const std::string& source) {
  if (file.shape.rank != tensor.spec.shape.rank || file.shape[0] != from.classes() ||
      file.type != tensor.spec.type)
    throw DataError("{}: tensor {}: expected {} rows, got {} {}", source, file.name, from.classes(),
                    name_of(file.type), to_string(file.shape));
  StoredTensor moved{file.name, tensor.spec.type, tensor.spec.shape, storage.read(tensor.name)};
  const auto row = file.bytes.size() / static_cast<std::size_t>(file.shape[0]);
  if (row != moved.bytes.size() / static_cast<std::size_t>(moved.shape[0]))
    throw DataError("{}: tensor {}: expected rows of {}, got {}", source, file.name, to_string(moved.shape),
                    to_string(file.shape));
  for (std::int64_t c = 0; c < file.shape[0]; ++c)
    if (const auto at = class_in(to, from, c))
      std::memcpy(moved.bytes.data() + static_cast<std::size_t>(*at) * row,
                  file.bytes.data() + static_cast<std::size_t>(c) * row, row);
  return moved;
}

}  // namespace

Alphabet alphabet_for(const Alphabet& of_data, const std::optional<Alphabet>& of_weights,
                      AlphabetPolicy policy) {
  if (!of_weights) return of_data;
  if (of_weights->target() != of_data.target())
    throw DataError("--load: the weights read texts where the recipe reads classes, or the other way round");
  if (policy == AlphabetPolicy::replace) return of_data;
  std::vector<std::string> missing;
  for (const auto& symbol : of_data.symbols())
    if (!has(*of_weights, symbol)) missing.push_back(symbol);
  if (missing.empty()) return *of_weights;
  if (policy == AlphabetPolicy::fail)
    throw DataError(
        "--load: the weights' alphabet lacks {} symbols of the data ({}); --alphabet union adds them, "
        "replace takes the data's alphabet",
        missing.size(), fmt::join(missing, " "));
  auto symbols = of_weights->symbols();
  symbols.insert(symbols.end(), missing.begin(), missing.end());
  return Alphabet(symbols, of_data.target(), of_weights->normalisation());
}

void load_weights(Storage& storage, const Graph& graph, const std::string& output_layer, TensorFile file,
                  const Alphabet& from, const Alphabet& to, const std::string& source) {
  if (!(from == to)) {
    for (const auto& tensor : graph.tensors()) {
      if (tensor.role != Role::parameter || !tensor.name.starts_with(output_layer + ".")) continue;
      for (auto& stored : file.tensors)
        if (stored.name == tensor.name) stored = move_rows(storage, tensor, stored, from, to, source);
    }
  }
  weights_from_file(storage, graph, file, source);
}

}  // namespace scrawl
