#pragma once
/// Which problems are looked at: what the recipes' networks ask for, read from their graphs, so that it
/// cannot drift; what bars are about; and other people's shapes.

#include <any>
#include <optional>
#include <string>
#include <vector>

#include "bench/kernels/problems.h"
#include "runtime/graph/lower.h"

namespace scrawl::bench {

struct Listed {
  Name name;
  std::string layer;  ///< who asks: "crnn conv2", "wide rows"
};

/// The name of what a step calls. None for calls that are too small to be measured: sums of a batch, running
/// statistics, widths.
std::optional<Name> name_of_call(const std::any& call, const Numbers&);

/// A step's operands as they are written, without data.
std::vector<View> operands_of(const Lowered&, const Step&);

/// Each distinct call of a training step, in its order: for each type, for each batch, for each recipe. Of a
/// device, for what it fuses. What a recipe asks for in f32 whatever its type comes once.
std::vector<Listed> of_networks(Device&, const std::vector<std::string>& recipes,
                                const std::vector<std::int64_t>& batches,
                                const std::vector<std::string>& types);

/// Softmax and its kin on rows of many widths, 64 Mi elements in all.
std::vector<Listed> of_rows(const std::vector<std::string>& types);

/// LSTMs of 64 to 1024 cells and 16 to 2048 steps, CTC of up to 8000 classes and 1000 symbols, layers of
/// VGG-16 and ResNet-50, softmax of 2 to 262,144 classes.
std::vector<Listed> of_others(const std::vector<std::string>& types);

/// Each operation on extents that simt runs in a moment.
std::vector<Listed> tiny(const std::vector<std::string>& types);

}  // namespace scrawl::bench
