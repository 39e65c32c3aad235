#pragma once
/// Pooling: the networks' windows, overlapping and uneven ones, padding, channels beside 16.

#include <vector>

#include "kernels/pool.h"
#include "tests/cases/case.h"

namespace scrawl::test {

struct PoolCase {
  std::int64_t n, c, h, w;
  PoolParams params = {};
  Optional widths = Optional::absent;
};

/// Geometry alone: each is run for maxima and averages.
inline const std::vector<PoolCase> pool_cases{
    {0, 3, 4, 4},
    {1, 1, 2, 2},
    {3, 1, 5, 7},
    {2, 15, 6, 9},
    {2, 16, 6, 8},
    {2, 17, 7, 7},
    {1, 32, 16, 24},
    {1, 72, 4, 5},   // lanes of a GPU's block across channels straddle: 9 vectors of 8
    {1, 264, 3, 4},  // several f32 blocks across channels
    {2, 62, 5, 4},
    {2, 33, 8, 10, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}},
    {2, 16, 8, 11, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}},
    {2, 5, 9, 7, {.window_h = 3, .window_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}},
    {2, 16, 9, 7, {.window_h = 3, .window_w = 2, .stride_h = 1, .stride_w = 2, .pad_h = 1}},
    {1, 4, 6, 6, {.window_h = 2, .window_w = 2, .stride_h = 3, .stride_w = 3}},
    {1, 2, 20, 21, {.window_h = 17, .window_w = 17, .stride_h = 2, .stride_w = 2}},  // i32 argmax
    {1, 1, 1, 1, {.window_h = 1, .window_w = 1, .stride_h = 1, .stride_w = 1}},
    {1, 8, 1, 3, {.window_h = 3, .window_w = 3, .stride_h = 2, .stride_w = 1, .pad_h = 2, .pad_w = 2}},
    {1,
     8,
     17,
     18,
     {.window_h = 16, .window_w = 17, .stride_h = 16, .stride_w = 17}},  // i32 argmax, without overlap
    {2, 3, 4, 5, {.window_h = 4, .window_w = 5, .stride_h = 1, .stride_w = 1}},
    {5, 17, 6, 13, {}, Optional::present},
    {5, 16, 6, 12, {.window_h = 2, .window_w = 1, .stride_h = 2, .stride_w = 1}, Optional::present},
    {4,
     3,
     7,
     11,
     {.window_h = 3, .window_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
     Optional::present},
};

}  // namespace scrawl::test
