#pragma once
/// Convolutions: channels beside multiples of 16 (the CPU's vectors, the tensor cores' tiles), odd images,
/// every parameter away from its default, and the layers of the two networks in small.

#include <vector>

#include "kernels/conv2d.h"
#include "tests/cases/case.h"

namespace scrawl::test {

struct Conv2dCase {
  std::int64_t n, c, h, w, k, r, s;
  Conv2dParams params = {};
  Activation activation = Activation::none;
  Optional bias = Optional::present, widths = Optional::absent;
};

inline constexpr Conv2dParams same3{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};

inline const std::vector<Conv2dCase> conv2d_cases{
    // no image; one pixel, one channel, one tap
    {0, 3, 5, 5, 4, 3, 3, same3},
    {1, 1, 1, 1, 1, 1, 1},
    {1, 1, 5, 7, 1, 3, 3, same3},
    // a1, a2, a3 of the CRNN and b1, b2 of CNN62, in small
    {3, 1, 16, 24, 32, 3, 3, same3},
    {2, 32, 8, 24, 64, 3, 3, same3},
    {2, 64, 4, 12, 128, 3, 3, same3, Activation::relu},
    {2, 3, 12, 12, 48, 5, 5, {}, Activation::relu},
    {1, 48, 7, 7, 32, 3, 3, {}, Activation::relu},
    // channels beside 16
    {2, 15, 6, 9, 16, 3, 3, same3},
    {2, 16, 6, 9, 17, 3, 3, same3},
    {2, 17, 6, 9, 15, 3, 3, same3, Activation::none, Optional::absent},
    {1, 3, 7, 31, 33, 3, 3, same3},
    {1, 33, 5, 5, 1, 3, 3, same3},
    // pointwise, row and column windows, even windows, windows as large as the image
    {3, 7, 3, 5, 31, 1, 1},
    {1, 8, 3, 33, 8, 1, 7, {.pad_left = 3, .pad_right = 3}},
    {1, 8, 33, 3, 8, 5, 1, {.pad_top = 2, .pad_bottom = 2}},
    {2, 5, 6, 7, 6, 2, 2},
    {2, 5, 6, 7, 6, 6, 7},
    // uneven padding, stride, dilation, groups
    {1, 4, 5, 6, 4, 4, 4, {.pad_top = 1, .pad_left = 2, .pad_bottom = 2, .pad_right = 1}},
    {2,
     6,
     9,
     11,
     5,
     3,
     3,
     {.stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}},
    {1, 16, 10, 13, 16, 3, 2, {.stride_h = 3, .stride_w = 2, .pad_right = 1}},
    {1,
     5,
     11,
     12,
     7,
     3,
     3,
     {.pad_top = 2, .pad_left = 2, .pad_bottom = 2, .pad_right = 2, .dilation_h = 2, .dilation_w = 2}},
    {1, 4, 9, 16, 8, 3, 3, {.stride_w = 2, .pad_top = 1, .pad_bottom = 1, .dilation_w = 3, .groups = 2}},
    {2, 6, 5, 7, 4, 3, 3, {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .groups = 2}},
    {2, 33, 7, 6, 33, 3, 3, {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .groups = 33}},
    // Winograd's domain, 28 tiles of 4x4 and more: partial tiles, channels beside 16, uneven padding, widths
    {3, 16, 13, 18, 16, 3, 3, same3},
    {2, 33, 14, 19, 17, 3, 3, {}, Activation::relu},
    {1,
     20,
     18,
     30,
     40,
     3,
     3,
     {.pad_top = 2, .pad_bottom = 1, .pad_right = 2},
     Activation::sigmoid,
     Optional::absent},
    {5, 17, 6, 33, 20, 3, 3, same3, Activation::tanh, Optional::present, Optional::present},
    // nonlinearities
    {2, 4, 5, 6, 18, 3, 3, same3, Activation::sigmoid},
    {2, 4, 5, 6, 18, 3, 3, same3, Activation::tanh, Optional::absent},
    // valid widths
    {4, 1, 8, 21, 32, 3, 3, same3, Activation::none, Optional::present, Optional::present},
    {5, 17, 6, 13, 20, 3, 3, same3, Activation::relu, Optional::present, Optional::present},
    {5,
     16,
     6,
     17,
     16,
     3,
     3,
     {.stride_w = 2, .pad_top = 1, .pad_bottom = 1},
     Activation::relu,
     Optional::present,
     Optional::present},
};

/// Those whose moments are taken too: the kernels of a few channels and of many, tiles that end within the
/// image, one pixel in all and none, channels beside 8 and 64, lines that are not valid to their end.
inline const std::vector<Conv2dCase> conv2d_moments_cases{
    {0, 3, 5, 5, 4, 3, 3, same3},
    {1, 1, 1, 1, 1, 1, 1},
    {1, 16, 1, 1, 9, 1, 1},
    {2, 1, 16, 24, 32, 3, 3, same3},
    {1, 3, 7, 9, 72, 5, 5, {}, Activation::none, Optional::absent},
    {2, 32, 4, 12, 128, 3, 3, same3},
    {2, 16, 6, 17, 17, 3, 3, same3},
    {2, 17, 6, 9, 15, 3, 3, same3, Activation::none, Optional::absent},
    {1, 33, 5, 5, 1, 3, 3, same3},
    {2, 6, 5, 7, 4, 3, 3, {.pad_top = 1, .pad_left = 1, .groups = 2}},
    {4, 1, 8, 21, 12, 3, 3, same3, Activation::none, Optional::present, Optional::present},
    {5, 16, 6, 17, 70, 3, 3, {.stride_w = 2}, Activation::none, Optional::present, Optional::present},
};

}  // namespace scrawl::test
