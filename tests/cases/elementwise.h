#pragma once
/// Shapes for what works element by element: beside vectors, of every rank, empty, channels beside 16.

#include <vector>

#include "kernels/view.h"
#include "tests/cases/case.h"

namespace scrawl::test {

inline const std::vector<Shape> elementwise_shapes{
    {1},          {7},          {16},          {257},         {0, 5},        {3, 33},       {4, 5, 6},
    {1, 1, 1, 1}, {2, 3, 5, 7}, {2, 15, 4, 6}, {3, 16, 4, 5}, {2, 17, 6, 5}, {1, 64, 8, 9},
};

inline const std::vector<Shape> image_shapes{
    {1, 1, 1, 1},   {2, 3, 5, 7},  {3, 1, 9, 4},  {2, 15, 4, 6}, {3, 16, 4, 5}, {2, 17, 6, 5},
    {1, 33, 2, 19}, {2, 64, 8, 9}, {2, 32, 7, 1}, {2, 17, 1, 5}, {3, 16, 2, 5},
};

}  // namespace scrawl::test
