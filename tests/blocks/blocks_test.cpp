/// Each building block of kernels/cuda/device alone, against plain C++.

#include "tests/blocks/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "kernels/cuda/backend.h"
#include "kernels/error.h"
#include "kernels/random.h"
#include "kernels/simt/machine.h"
#include "tests/kernels/target.h"

namespace scrawl::test {
namespace {

/// A device with the kernels for it.
struct Machine {
  const char* name;
  Target& target;
  const Blocks& blocks;
};

std::vector<Machine> machines() {
  std::vector<Machine> all{{"simt", *target_of(simt::backend()), simt::blocks()}};
#ifdef SCRAWL_HAS_CUDA
  if (auto* const gpu = target_of(cuda::backend())) all.push_back({"cuda", *gpu, cuda::blocks()});
#endif
  return all;
}

class Block : public testing::TestWithParam<Machine> {
 protected:
  void SetUp() override { target().begin(static_cast<std::uint64_t>(GetParam().name[0])); }
  void TearDown() override {
    if (HasFatalFailure()) return;
    for (const auto* memory : pieces_)
      EXPECT_TRUE(target().guards_intact(memory)) << "writes beside its memory";
  }

  Target& target() const { return GetParam().target; }
  const Blocks& blocks() const { return GetParam().blocks; }
  Stream stream() const { return target().stream(); }

  template <class T>
  T* given(const std::vector<T>& values) {
    auto* const memory = room<T>(values.size());
    target().upload(reinterpret_cast<std::byte*>(memory), std::as_bytes(std::span(values)));
    return memory;
  }
  template <class T>
  T* room(std::size_t count) {
    pieces_.push_back(target().allocate(count * sizeof(T), std::byte{0xff}));
    return reinterpret_cast<T*>(pieces_.back());
  }
  template <class T>
  std::vector<T> read(const T* memory, std::size_t count) const {
    std::vector<T> values(count);
    target().download(std::as_writable_bytes(std::span(values)), reinterpret_cast<const std::byte*>(memory));
    return values;
  }

  std::vector<std::byte*> pieces_;
};

std::vector<int> some_ints(std::size_t count) {
  std::mt19937 random(7);
  std::vector<int> values(count);
  for (int& value : values) value = static_cast<int>(random() % 2001) - 1000;
  return values;
}

TEST_P(Block, places_name_every_thread_once) {
  constexpr int blocks_x = 3, blocks_y = 2, threads = 64;
  auto* const y = room<int>(blocks_x * blocks_y * threads * 8);
  blocks().places(y, stream());
  const auto got = read(y, blocks_x * blocks_y * threads * 8);
  for (int by = 0, i = 0; by < blocks_y; ++by)
    for (int bx = 0; bx < blocks_x; ++bx)
      for (int thread = 0; thread < threads; ++thread, i += 8)
        ASSERT_THAT(std::vector(got.begin() + i, got.begin() + i + 8),
                    testing::ElementsAre(bx, by, 0, thread, thread % 32, thread / 32, threads, blocks_x));
}

TEST_P(Block, warps_reduce_and_scan) {
  const auto x = some_ints(32);
  auto *const sum = room<int>(32), *const running = room<int>(32);
  blocks().reduce_and_scan_warp(given(x), sum, running, stream());
  std::vector<int> expected(32);
  std::partial_sum(x.begin(), x.end(), expected.begin());
  EXPECT_EQ(read(running, 32), expected);
  EXPECT_THAT(read(sum, 32), testing::Each(expected.back()));
}

TEST_P(Block, blocks_reduce_and_scan) {
  for (const int threads : {32, 64, 96, 256, 992, 1024}) {
    const auto count = static_cast<std::size_t>(threads);
    const auto x = some_ints(count);
    auto *const sum = room<int>(count), *const running = room<int>(count);
    blocks().reduce_and_scan_block(given(x), sum, running, threads, stream());
    std::vector<int> expected(count);
    std::partial_sum(x.begin(), x.end(), expected.begin());
    EXPECT_EQ(read(running, count), expected) << threads;
    EXPECT_THAT(read(sum, count), testing::Each(expected.back())) << threads;
  }
}

TEST_P(Block, shuffles_read_the_lane_that_they_name) {
  std::vector<float> x(32);
  std::iota(x.begin(), x.end(), 0.5f);
  auto* const y = room<float>(shuffles * 32);
  blocks().shuffle(given(x), y, stream());
  const auto got = read(y, shuffles * 32);
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(got[lane], x[5]);
    EXPECT_EQ(got[32 + lane], x[lane ^ 3]);
    EXPECT_EQ(got[64 + lane], x[lane < 2 ? lane : lane - 2]);
    EXPECT_EQ(got[96 + lane], x[lane + 7 > 31 ? lane : lane + 7]);
  }
}

TEST_P(Block, ballots_have_a_bit_a_lane) {
  const auto x = some_ints(32);
  auto* const y = room<std::uint32_t>(32);
  blocks().ballot(given(x), y, stream());
  std::uint32_t expected = 0;
  for (std::size_t lane = 0; lane < 32; ++lane) expected |= std::uint32_t{x[lane] % 2 != 0} << lane;
  EXPECT_THAT(read(y, 32), testing::Each(expected));
}

TEST_P(Block, barriers_of_their_own_keep_two_halves_apart) {
  const auto x = some_ints(64);
  auto* const y = room<int>(64);
  blocks().turn_halves(given(x), y, stream());
  const auto got = read(y, 64);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(got[i], x[i / 32 * 32 + 31 - i % 32]);
}

std::vector<std::byte> some_bytes(std::size_t count) {
  std::mt19937 random(11);
  std::vector<std::byte> values(count);
  for (auto& value : values) value = static_cast<std::byte>(random());
  return values;
}

TEST_P(Block, vectors_of_every_size_copy_bytes) {
  const auto x = some_bytes(4 * copied_vectors * 16);
  auto* const y = room<std::byte>(x.size());
  blocks().copy_vectors(given(x), y, stream());
  EXPECT_EQ(read(y, x.size()), x);
}

TEST_P(Block, asynchronous_copies_arrive_and_the_rest_is_zero) {
  for (const int bytes : {4, 8, 16})
    for (int from_global = 0; from_global <= bytes; from_global += 2) {
      auto x = some_bytes(static_cast<std::size_t>(copy_groups * copied_vectors * bytes));
      auto* const y = room<std::byte>(x.size());
      blocks().copy_async(given(x), y, bytes, from_global, stream());
      for (std::size_t i = 0; i < x.size(); ++i)
        if (static_cast<int>(i) % bytes >= from_global) x[i] = std::byte{0};
      EXPECT_EQ(read(y, x.size()), x) << bytes << " bytes, " << from_global << " of them read";
    }
}

TEST_P(Block, matrices_load_into_their_lanes) {
  std::vector<std::uint16_t> x(tile * tile);
  std::iota(x.begin(), x.end(), std::uint16_t{100});
  for (const int matrices : {1, 2, 4})
    for (const bool transposed : {false, true}) {
      const auto count = static_cast<std::size_t>(matrices) * 32;
      auto* const y = room<std::uint32_t>(count);
      blocks().load_matrices(given(x), y, matrices, transposed, stream());
      const auto got = read(y, count);
      for (int m = 0; m < matrices; ++m)
        for (int lane = 0; lane < 32; ++lane) {
          const auto at = [&](int row, int column) -> std::uint32_t {
            if (transposed) std::swap(row, column);
            return x[static_cast<std::size_t>((m % 2 * 8 + row) * tile + m / 2 * 8 + column)];
          };
          const int g = lane / 4, t = lane % 4;
          EXPECT_EQ(got[static_cast<std::size_t>(m * 32 + lane)], at(g, 2 * t) | at(g, 2 * t + 1) << 16)
              << matrices << " matrices, " << (transposed ? "transposed, " : "") << "matrix " << m
              << ", lane " << lane;
        }
    }
}

TEST_P(Block, blocks_together_exchange_by_flags) {
  constexpr std::size_t teams = together_blocks, threads = together_threads, values = teams * threads;
  std::vector<std::uint32_t> expected(values);
  std::iota(expected.begin(), expected.end(), 1u);
  const auto* const x = given(expected);
  auto *const y = room<std::uint32_t>(values), *const state = room<std::uint32_t>(2 * values);
  blocks().add_neighbours(x, y, state, given(std::vector<std::uint32_t>(teams)), stream());
  for (int step = 0; step < together_steps; ++step) {
    const auto before = expected;
    for (std::size_t i = 0; i < values; ++i)
      expected[i] += before[(i / threads + 1) % teams * threads + (i + 1) % threads];
  }
  EXPECT_EQ(read(y, values), expected);
}

float as_float(float x) { return x; }
float as_float(bf16 x) { return static_cast<float>(x); }
float as_float(f16 x) { return static_cast<float>(x); }

/// Random products within what 16 sums in f32 may be off, and small integers exactly.
template <class T, class Multiply>
void expect_products(const auto& block, int depth, Multiply&& multiply) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> integer(-3, 3);
  for (const bool exact : {true, false}) {
    const auto draw = [&] { return exact ? static_cast<float>(integer(random)) : normal(random); };
    std::vector<T> a(static_cast<std::size_t>(16 * depth)), b(static_cast<std::size_t>(depth * 8));
    std::vector<float> c(16 * 8);
    for (T& value : a) value = static_cast<T>(draw());
    for (T& value : b) value = static_cast<T>(draw());
    for (float& value : c) value = draw();
    const auto got = multiply(block, a, b, c);
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        const auto at = static_cast<std::size_t>(row * 8 + column);
        double sum = c[at], size = std::abs(c[at]);
        for (int k = 0; k < depth; ++k) {
          const double product = double{as_float(a[static_cast<std::size_t>(row * depth + k)])} *
                                 as_float(b[static_cast<std::size_t>(k * 8 + column)]);
          sum += product;
          size += std::abs(product);
        }
        // tf32 rounds each factor by 2^-11; tensor cores may truncate as they add.
        const double allowed =
            exact ? 0 : size * (std::is_same_v<T, float> ? 2 * 0x1p-11 + 0x1p-20 : 0x1p-20);
        EXPECT_LE(std::abs(got[at] - sum), allowed) << row << ", " << column;
      }
  }
}

TEST_P(Block, tensor_cores_multiply) {
  const auto with = [&](auto launch) {
    return [this, launch](const auto&, const auto& a, const auto& b, const std::vector<float>& c) {
      auto* const y = room<float>(c.size());
      (blocks().*launch)(given(a), given(b), given(c), y, stream());
      return read(y, c.size());
    };
  };
  expect_products<f16>(*this, 16, with(&Blocks::multiply_f16));
  expect_products<bf16>(*this, 16, with(&Blocks::multiply_bf16));
  expect_products<float>(*this, 8, with(&Blocks::multiply_tf32));
}

TEST_P(Block, random_numbers_are_the_hosts) {
  auto* const bits = room<std::uint32_t>(256 * 4);
  auto* const uniform = room<float>(256);
  blocks().random(bits, uniform, stream());
  const auto got = read(bits, 256 * 4);
  const auto numbers = read(uniform, 256);
  for (std::uint32_t i = 0; i < 256; ++i) {
    const auto expected = philox({i, 1, 2, 3}, {4, 5});
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), got.begin() + 4 * i));
    EXPECT_EQ(numbers[i], uniform01(expected[0]));
  }
}

bool are_same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

TEST_P(Block, every_16_bit_number_widens_as_on_the_host) {
  std::vector<std::uint16_t> x(1 << 16);
  std::iota(x.begin(), x.end(), std::uint16_t{0});
  const auto count = static_cast<int>(x.size());
  auto *const from_bf16 = room<float>(x.size()), *const from_f16 = room<float>(x.size());
  blocks().widen(given(x), from_bf16, from_f16, count, stream());
  const auto b = read(from_bf16, x.size()), h = read(from_f16, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    bf16 as_bf16;
    f16 as_f16;
    as_bf16.bits = as_f16.bits = x[i];
    ASSERT_TRUE(are_same(b[i], as_float(as_bf16)) && are_same(h[i], as_float(as_f16))) << i;
  }
}

TEST_P(Block, numbers_narrow_as_on_the_host) {
  std::mt19937 random(3);
  std::vector<float> x{0.0f,  -0.0f, INFINITY, -INFINITY, NAN,      65504,
                       65519, 65520, 1e-8f,    0x1p-24f,  0x1p-25f, 3e38f};
  while (x.size() < 4096) {
    const auto bits = static_cast<std::uint32_t>(random());
    float value;
    std::memcpy(&value, &bits, sizeof value);
    x.push_back(value);
  }
  auto *const to_bf16 = room<std::uint16_t>(x.size()), *const to_f16 = room<std::uint16_t>(x.size());
  auto* const to_tf32 = room<float>(x.size());
  blocks().narrow(given(x), to_bf16, to_f16, to_tf32, static_cast<int>(x.size()), stream());
  const auto b = read(to_bf16, x.size()), h = read(to_f16, x.size());
  const auto rounded = read(to_tf32, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      EXPECT_TRUE(std::isnan(rounded[i]));
      continue;
    }
    EXPECT_EQ(b[i], static_cast<bf16>(x[i]).bits) << x[i];
    EXPECT_EQ(h[i], static_cast<f16>(x[i]).bits) << x[i];
    if (std::isinf(x[i]) || std::isinf(rounded[i])) continue;
    EXPECT_LE(std::abs(rounded[i] - x[i]), std::abs(x[i]) * 0x1p-11f + 0x1p-137f) << x[i];
    std::uint32_t bits;
    std::memcpy(&bits, &rounded[i], sizeof bits);
    EXPECT_EQ(bits & 0x1fffu, 0u) << x[i];
  }
}

/// The checkers see what is planted: simt here, compute-sanitizer where these run on a GPU under it.
class PlantedFault : public Block {
 protected:
  /// `name`: simt's, of the fault.
  void plant(Planted fault, const char* name,
             simt::Schedule::LookFor look_for = simt::Schedule::LookFor::faults) {
    simt_schedule() = {.look_for = look_for};
    target().begin(0);
    simt_schedule() = {};
    const auto x = some_ints(64);
    auto* const y = room<int>(64);
    blocks().plant(fault, given(x), y, stream());
    if (is_simt()) {
      try {
        read(y, 64);
        ADD_FAILURE() << "nothing is reported";
      } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(std::string(": ") + name + ": "));
      }
      pieces_.clear();
      return;
    }
    read(y, 64);
    if (fault == Planted::write_beyond && has_guards()) {
      EXPECT_FALSE(target().guards_intact(pieces_.front()));
      pieces_.clear();
    } else {
      GTEST_SKIP() << "on a GPU only compute-sanitizer sees it";
    }
  }
  bool is_simt() const { return std::string_view(GetParam().name) == "simt"; }
};

TEST_P(PlantedFault, write_beyond_memory) { plant(Planted::write_beyond, "bounds"); }
TEST_P(PlantedFault, race_in_shared_memory) { plant(Planted::race, "race", simt::Schedule::LookFor::races); }
TEST_P(PlantedFault, divergent_barrier) { plant(Planted::divergent_barrier, "divergence"); }
TEST_P(PlantedFault, read_of_unwritten_memory) { plant(Planted::unwritten_read, "undefined"); }

INSTANTIATE_TEST_SUITE_P(on, PlantedFault, testing::ValuesIn(machines()),
                         [](const auto& info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(on, Block, testing::ValuesIn(machines()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace scrawl::test
