#pragma once
/// Rows of every kind of width: the alphabets' (30, 47, 62), each beside a vector, a warp's or a block's
/// registers, 1 and the widest that is promised.

#include <vector>

#include "tests/cases/case.h"

namespace scrawl::test {

struct RowsCase {
  std::int64_t rows, classes;
};

inline const std::vector<RowsCase> rows_cases{
    {1, 1},    {3, 2},    {5, 15},   {5, 16},    {5, 17},     {7, 30},  {4, 31},
    {4, 33},   {3, 47},   {9, 62},   {5, 127},   {3, 129},    {2, 515}, {3, 1024},
    {3, 1025}, {1, 4096}, {2, 8193}, {2, 16385}, {1, 262144}, {0, 30},
};

}  // namespace scrawl::test
