#pragma once
/// What a network is made of, for people and programs: layers, shapes, costs, variants and memory.

#include <nlohmann/json.hpp>
#include <string>

#include "models/recipe.h"
#include "runtime/device/device.h"

namespace scrawl {

/// Plans the recipe's network for `batch` samples and one use, without running anything, and tells
///   nodes: name, operator, parameters, output shape, weights, FLOPs and least bytes, forward
///   calls:  the kernel calls in order, each with phase, variant, whether a choice file named it, what
///           faster variants said, placements
///   memory: arena, least possible, weights, and each tensor's offset, bytes and lifetime
/// Throws what building and planning throw.
nlohmann::json summarize(const Recipe&, int classes, Device&, int batch, bool training);

/// The summary as tables. `detail`: with calls and memory.
enum class Detail : std::uint8_t { nodes, calls, memory };
std::string to_text(const nlohmann::json& summary, Detail);

}  // namespace scrawl
