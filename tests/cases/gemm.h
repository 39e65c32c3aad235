#pragma once
/// Products beside multiples of 16 and 64 (vectors, tiles), of 252 rows (blocks) and of 128 and 256 (parts of
/// a panel), single rows and columns, and the networks' dense layers in small.

#include <vector>

#include "kernels/gemm.h"
#include "tests/cases/case.h"

namespace scrawl::test {

struct GemmCase {
  std::int64_t m, n, k;
};

inline const std::vector<GemmCase> gemm_cases{
    {0, 3, 5},     {1, 1, 1},     {1, 1, 130},   {1, 65, 3},     {65, 1, 7},      {3, 5, 4},
    {15, 17, 16},  {16, 16, 16},  {17, 15, 33},  {31, 64, 1},    {64, 63, 65},    {65, 64, 64},
    {33, 130, 70}, {128, 48, 96}, {7, 257, 129}, {253, 65, 258}, {509, 130, 300},
};

struct DenseCase {
  std::int64_t steps, rows, inputs,
      outputs;  ///< x is (rows, inputs) if steps is 0, else (steps, rows, inputs)
  Activation activation = Activation::none;
  Optional bias = Optional::present;
};

inline const std::vector<DenseCase> dense_cases{
    {0, 0, 5, 4},
    {0, 1, 1, 1},
    {0, 1, 33, 7},
    {0, 3, 5, 4, Activation::relu},
    {0, 16, 64, 48, Activation::relu},
    {0, 19, 37, 23, Activation::sigmoid},
    {0, 33, 129, 62, Activation::none, Optional::absent},
    {0, 5, 31, 257, Activation::tanh, Optional::absent},
    {9, 3, 128, 64, Activation::relu},
    {7, 5, 96, 30},
    {0, 40, 300, 70},
};

}  // namespace scrawl::test
