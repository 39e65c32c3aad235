#pragma once
/// Kernels over many tensors at once. Tensors are cut into chunks of one size, a block a chunk. A table of
/// tensors goes with the kernel's arguments: launchers have no memory of their own to put it in. More tensors
/// than it holds are more launches.

#include <cstdint>
#include <vector>

#include "kernels/cuda/device/block.h"
#include "kernels/view.h"

namespace SCRAWL_CUDA {

struct Chunks {
  static constexpr int threads = 256;
  static constexpr std::int64_t elements = 8192;

  static constexpr std::int64_t of(std::int64_t count) { return (count + elements - 1) / elements; }
};

/// What kernels know of all tensors of a launch, whatever they do with them.
struct Table {
  static constexpr int most_tensors =
      64;  ///< with four pointers each, 3 KiB of the 4 that arguments may take

  int tensors = 0;
  unsigned first_chunks[most_tensors + 1] = {};  ///< and, last, the number of all chunks
  std::int64_t counts[most_tensors] = {};
  bool in_vectors[most_tensors] = {};  ///< whether memory is aligned

  unsigned chunks() const { return first_chunks[tensors]; }

  /// Returns the tensor's number.
  int add(std::int64_t count, bool is_aligned) {
    counts[tensors] = count;
    in_vectors[tensors] = is_aligned;
    first_chunks[tensors + 1] = first_chunks[tensors] + static_cast<unsigned>(Chunks::of(count));
    return tensors++;
  }

  struct Chunk {
    int tensor;
    std::int64_t first;
    int count;
    int whole;  ///< elements that lie in vectors of kVector
  };

  /// The chunk of the block.
  template <int kVector>
  SCRAWL_DEVICE Chunk own() const {
    const unsigned chunk = block_index().x;
    int tensor = 0, behind = tensors;
    while (behind - tensor > 1) {
      const int middle = (tensor + behind) / 2;
      (chunk >= first_chunks[middle] ? tensor : behind) = middle;
    }
    const auto first = (chunk - first_chunks[tensor]) * Chunks::elements, rest = counts[tensor] - first;
    const int count = static_cast<int>(rest < Chunks::elements ? rest : Chunks::elements);
    return {tensor, first, count, in_vectors[tensor] ? count / kVector * kVector : 0};
  }
};

}  // namespace SCRAWL_CUDA
