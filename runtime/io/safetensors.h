#pragma once
/// safetensors files: named tensors and one JSON object about them.
///
/// Layout: u64 little-endian header length; that many bytes of JSON, padded with spaces to a multiple of 8;
/// the tensors' bytes, little-endian, row-major, without holes. Header:
///   {"__metadata__": {"scrawl": "<JSON>"}, "<name>": {"dtype": "F32", "shape": [..], "data_offsets": [a,
///   b]}, ..}
/// Source: https://github.com/huggingface/safetensors, README "Format".

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/view.h"

namespace scrawl {

/// A tensor on its way to a file: borrowed, row-major and contiguous.
struct NamedView {
  std::string name;
  View view;
};

/// A tensor from a file.
struct StoredTensor {
  std::string name;
  DType type = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;  ///< size_of(type) * shape.count(), row-major
};

struct TensorFile {
  std::vector<StoredTensor> tensors;  ///< in the order of their bytes in the file
  nlohmann::json metadata;            ///< null when the file has none of ours

  const StoredTensor* find(std::string_view name) const;  ///< null when there is none
};

inline constexpr std::uint64_t max_safetensors_header = std::uint64_t{1} << 20;

/// Reads any safetensors file of f32, f16, bf16, f64, i32, i64 and u8 tensors of up to 5 axes.
/// Throws DataError, naming file, tensor and cause, for everything that the format does not allow: a header
/// that is too long or not JSON, duplicate keys, types, shapes and offsets that disagree, holes, overlaps,
/// bytes missing or left over.
TensorFile read_safetensors(const std::filesystem::path&);

/// Writes `tensors` and `metadata` (unless null), atomically: wider types first, then by name, so that every
/// tensor is aligned and equal content gives equal files, byte for byte those of the Python package.
/// Throws WriteError, or InternalError for a duplicate or reserved name or a view that is not row-major.
void write_safetensors(const std::filesystem::path&, std::span<const NamedView> tensors,
                       const nlohmann::json& metadata = nullptr);

}  // namespace scrawl
