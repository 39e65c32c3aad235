#pragma once
/// Beginning a training with weights that another one made.

#include <optional>

#include "models/model.h"
#include "models/training.h"

namespace scrawl {

/// The alphabet to train with: the data's own, or joined with that of loaded weights as the policy says.
/// Throws DataError where one reads texts and the other classes, and under AlphabetPolicy::fail for data with
/// symbols that the weights do not know.
Alphabet alphabet_for(const Alphabet& of_data, const std::optional<Alphabet>& of_weights, AlphabetPolicy);

/// Takes over every tensor of the file that the network has. The output layer's rows move with their symbols;
/// rows of new symbols keep their starting values. Throws DataError for a tensor of another shape,
/// missing, or that the network lacks.
void load_weights(Storage&, const Graph&, const std::string& output_layer, TensorFile, const Alphabet& from,
                  const Alphabet& to, const std::string& source);

}  // namespace scrawl
