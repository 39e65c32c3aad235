#include "kernels/random.h"

#include <gtest/gtest.h>

namespace scrawl {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// Known answers: Random123 1.14, tests/kat_vectors, "philox4x32 10".
TEST(philox, equals_the_published_known_answers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(philox, uniform_numbers_lie_in_zero_to_one_without_one) {
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_EQ(uniform01(0x80000000u), 0.5f);
  EXPECT_LT(uniform01(0xffffffffu), 1.0f);
}

}  // namespace
}  // namespace scrawl
