#pragma once
/// Splits of data sets that come without: by a hash, so that adding files never moves a sample.

#include <cstdint>
#include <string_view>
#include <vector>

#include "models/data/dataset.h"

namespace scrawl {

/// A number in [0, 1) that depends on the bytes alone: equal on every machine, in every version.
/// FNV-1a, then the finaliser of SplitMix64 because FNV's upper bits mix poorly. Source: Fowler, Noll, Vo;
/// Steele, Lea, Flood, 2014.
double stable_hash01(std::string_view);

/// The splits that a set comes with.
enum class OwnSplits : std::uint8_t { none, without_validation, with_validation };

/// Fills in the splits that a set lacks, moving training samples only: without any, those whose hash is below
/// test_fraction go to test and those of the next validation_fraction to validation; without validation,
/// those below validation_fraction go there. The hash is of the writer where known, else of the key. Throws
/// UsageError for fractions that are negative or exceed 1 in all.
void assign_splits(std::vector<SampleInfo>&, OwnSplits, const DataOptions&);

}  // namespace scrawl
