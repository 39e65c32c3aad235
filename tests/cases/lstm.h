#pragma once
/// LSTM layers: hidden sizes beside multiples of 16, ragged lengths with an empty sequence, single steps;
/// more cells, samples and columns than one pass of a blocked product takes (128, 7 and 64 on the CPU); units
/// and samples beside and on the edges of a GPU's blocks (32 or 64 units, 16 samples or some times that).

#include <vector>

#include "kernels/lstm.h"
#include "tests/cases/case.h"

namespace scrawl::test {

enum class States : std::uint8_t { none, given };  ///< h0, c0, hn, cn and their gradients

struct LstmCase {
  std::int64_t steps, samples, inputs, hidden, directions;
  Optional lengths = Optional::absent;
  States states = States::none;
};

inline const std::vector<LstmCase> lstm_cases{
    {4, 0, 3, 5, 2},
    {1, 1, 1, 1, 1},
    {5, 3, 4, 6, 1},
    {6, 2, 5, 7, 2, Optional::absent, States::given},
    {7, 4, 5, 6, 2, Optional::present, States::given},
    {1, 5, 3, 4, 2, Optional::absent, States::given},
    {4, 3, 17, 15, 2, Optional::present},
    {9, 1, 16, 16, 2},
    {5, 16, 33, 17, 2, Optional::present, States::given},
    {12, 17, 64, 32, 2, Optional::present},
    {3, 33, 8, 64, 1, Optional::present, States::given},
    {8, 5, 24, 48, 2},
    {40, 4, 7, 63, 2, Optional::present, States::given},
    {4, 70, 16, 65, 2},
    {5, 6, 130, 64, 1, Optional::present},
    {3, 0, 4, 6, 2},
    {0, 3, 4, 16, 2, Optional::absent, States::given},
    {3, 17, 5, 48, 2, Optional::present, States::given},
    {2, 34, 3, 16, 1, Optional::present},
};

/// More units than a block of a GPU has registers for, and than it loads at once: once, in bf16.
inline const std::vector<LstmCase> wide_lstm_cases{
    {3, 2, 3, 208, 1, Optional::absent, States::given},
    {3, 2, 3, 272, 1, Optional::present},
};

}  // namespace scrawl::test
