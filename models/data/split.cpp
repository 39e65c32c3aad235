#include "models/data/split.h"

#include "kernels/error.h"

namespace scrawl {

double stable_hash01(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  hash ^= hash >> 31;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

void assign_splits(std::vector<SampleInfo>& samples, OwnSplits own, const DataOptions& options) {
  const double test = own == OwnSplits::none ? options.test_fraction : 0.0;
  const double validation = own == OwnSplits::with_validation ? 0.0 : options.validation_fraction;
  if (test < 0 || validation < 0 || test + validation > 1)
    throw UsageError("data: expected fractions of validation and test from 0 to 1 in all, got {} and {}",
                     validation, test);
  for (SampleInfo& sample : samples) {
    if (sample.split != Split::train) continue;
    const double hash = stable_hash01(sample.writer.empty() ? sample.key : sample.writer);
    if (hash < test)
      sample.split = Split::test;
    else if (hash < test + validation)
      sample.split = Split::validation;
  }
}

}  // namespace scrawl
