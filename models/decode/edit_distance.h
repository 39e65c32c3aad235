#pragma once
/// Levenshtein distance over any sequence: code points for CER, words for WER.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <ranges>
#include <vector>

namespace scrawl {

/// The least number of insertions, deletions and substitutions that turn `a` into `b`.
/// O(|a| |b|) time, O(|b|) memory. Source: Wagner and Fischer, 1974.
template <std::ranges::random_access_range Sequence>
std::int64_t edit_distance(const Sequence& a, const Sequence& b) {
  const std::size_t columns = std::ranges::size(b);
  std::vector<std::int64_t> row(columns + 1);  // distance of the prefix of a read so far to each prefix of b
  std::iota(row.begin(), row.end(), 0);
  for (const auto& symbol : a) {
    std::int64_t diagonal = row[0]++;
    for (std::size_t j = 0; j < columns; ++j) {
      const std::int64_t substituted = diagonal + (symbol == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, diagonal + 1, row[j] + 1});
    }
  }
  return row[columns];
}

}  // namespace scrawl
