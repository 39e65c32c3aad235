#pragma once
/// IDX, the format of MNIST and EMNIST: big-endian header, then unsigned bytes; gzip or plain.
/// Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".

#include <cstdint>
#include <filesystem>
#include <vector>

#include "models/data/dataset.h"

namespace scrawl {

/// An array of bytes, last axis contiguous.
struct Idx {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> data;
};

/// Reads a file of unsigned bytes with 1 to 3 axes, at most 4 GiB. Throws DataError: cannot read, not IDX,
/// damaged or truncated gzip, more or fewer bytes than the header says.
Idx read_idx(const std::filesystem::path&);

/// Whether `path` names IDX data: a folder with images files, a prefix of such files, or one of them.
bool addresses_idx(const std::filesystem::path&);

/// Opens the set at `path`. File names are [PREFIX-]{train,t10k,test}-{images,labels}-idx{3,1}-ubyte[.gz],
/// with PREFIX-mapping.txt beside them: lines of a class and its code points, of which the first is the
/// label. Keys are "train/17", "test/17". Images stay in memory as bytes. Throws DataError: several prefixes
/// in a folder, a missing labels file, counts that differ, a label without mapping, and what read_idx throws.
Dataset open_idx(const std::filesystem::path&, const DataOptions&);

}  // namespace scrawl
