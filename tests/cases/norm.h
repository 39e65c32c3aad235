#pragma once
/// Batch norm: channels beside 16, one value a channel, a mean far larger than the deviation, valid widths.

#include <vector>

#include "kernels/norm.h"
#include "tests/cases/case.h"

namespace scrawl::test {

struct NormCase {
  std::int64_t n, c, h, w;
  double mean = 0;  ///< of x, beside a deviation of 1
  Optional widths = Optional::absent;
};

inline const std::vector<NormCase> norm_cases{
    {0, 3, 4, 5},  // M = 0
    {1, 1, 1, 1},  // M = 1
    {2, 3, 1, 1},  // M = 2
    {1, 17, 1, 1},
    {3, 1, 5, 7},
    {2, 15, 6, 9},
    {2, 16, 6, 9},
    {3, 17, 4, 5},
    {2, 32, 16, 24},
    {1, 130, 3, 4},
    {2, 72, 2, 3},   // lanes of a GPU's block across channels straddle: 9 vectors of 8
    {1, 264, 3, 2},  // several f32 blocks across channels
    {1, 8, 23, 31},
    {3, 8, 11, 13, 1e4, Optional::present},
    {4, 16, 20, 30, 1e4},  // cancellation
    {2, 5, 33, 31, -1e4},
    {5, 16, 6, 13, 0, Optional::present},
    {5, 17, 4, 9, 3, Optional::present},
    {4, 3, 5, 6, 0, Optional::present},
};

struct NormPoolCase {
  NormCase image;
  PoolParams pool = {};
};

inline const std::vector<NormPoolCase> norm_pool_cases{
    {{2, 32, 8, 12}},
    {{3, 16, 6, 9}},
    {{2, 17, 7, 6}},
    {{2, 3, 5, 5}},
    {{2, 48, 8, 10}, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}},
    {{2, 5, 6, 7}, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}},
    {{2, 16, 7, 9}, {.window_h = 3, .window_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}},
    {{4, 16, 10, 10, 1e3}},
    {{1, 1, 2, 2}},
    {{1, 1, 1, 1}, {.window_h = 1, .window_w = 1, .stride_h = 1, .stride_w = 1}},
    {{0, 3, 4, 4}},
    {{1, 72, 5, 3}},
    {{1, 8, 17, 18}, {.window_h = 16, .window_w = 17, .stride_h = 16, .stride_w = 17}},  // i32 argmax
    {{2, 8, 6, 7}, {.window_h = 2, .window_w = 2, .stride_h = 3, .stride_w = 3}},
    {{5, 32, 6, 12, 0, Optional::present}},
    {{5, 9, 4, 11, 0, Optional::present}},
    {{5, 16, 4, 9, 0, Optional::present}, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}},
};

}  // namespace scrawl::test
