/// The devices under the harness: what is read is what was written, and writes beside memory are noticed.

#include "tests/kernels/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/harness.h"

namespace scrawl::test {
namespace {

/// The one test that says why there are none of .../cuda.
TEST(Gpu, kernels_run_on_it) {
  if (!missing_gpu().empty()) GTEST_SKIP() << missing_gpu();
  const auto all = device_backends();
  const auto cuda = std::ranges::find(all, "cuda", &Backend::name);
  ASSERT_NE(cuda, all.end());
  const auto x = described(DType::f32, {1000});
  EXPECT_THAT(agree(**cuda, "on it", Add{.a = x, .b = x, .y = x}, {}).problems, testing::IsEmpty());
}

TEST(Guards, notice_a_byte_on_either_side) {
  if (!has_guards()) GTEST_SKIP() << "SCRAWL_GUARDS=0";
  const auto target = guarded("cpu");
  for (const std::size_t bytes : {0, 1, 100, 4096})
    for (const auto offset : {std::ptrdiff_t{-1}, static_cast<std::ptrdiff_t>(bytes)}) {
      target->begin(0);
      auto *const memory = target->allocate(bytes, std::byte{0x3c}), *const other = target->allocate(1, {});
      std::vector<std::byte> values(bytes);
      target->download(values, memory);
      EXPECT_THAT(values, testing::Each(std::byte{0x3c}));
      EXPECT_TRUE(target->guards_intact(memory));
      memory[offset] = std::byte{0};
      EXPECT_FALSE(target->guards_intact(memory)) << bytes << " bytes, offset " << offset;
      EXPECT_TRUE(target->guards_intact(other));
    }
}

class OnDevice : public testing::TestWithParam<const Backend*> {
 protected:
  void SetUp() override { target().begin(1); }

  Target& target() const { return *target_of(*GetParam()); }
  bool is_gpu() const { return GetParam()->name == "cuda"; }
  std::vector<std::byte> read(const std::byte* memory, std::size_t bytes) const {
    std::vector<std::byte> values(bytes);
    target().download(values, memory);
    return values;
  }

  /// Copies 64 floats to memory that has room for fewer, and shifts it.
  void copy_to(std::byte* y) const {
    const std::vector<std::byte> values(256, std::byte{3});
    auto* const x = target().allocate(values.size(), std::byte{0});
    target().upload(x, values);
    Copy call{.x = described(DType::f32, {64}), .y = described(DType::f32, {64})};
    const auto plan = GetParam()->copy(call, {});
    call.x.data = x;
    call.y.data = y;
    plan.run(call, {}, target().stream());
  }
};

TEST_P(OnDevice, memory_is_aligned_and_holds_poison_and_then_what_is_uploaded) {
  std::vector<std::byte> values(777);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>(i * 7);
  auto* const memory = target().allocate(values.size(), std::byte{0x3c});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u);
  if (is_gpu() && has_guards()) {
    EXPECT_THAT(read(memory, values.size()), testing::Each(std::byte{0x3c}));
  }
  target().upload(memory, values);
  EXPECT_EQ(read(memory, values.size()), values);
  EXPECT_TRUE(target().guards_intact(memory));
}

TEST_P(OnDevice, a_write_beyond_memory_is_noticed) {
  auto* const y = target().allocate(252, std::byte{0});
  copy_to(y);
  if (is_gpu()) {
    read(y, 252);
    EXPECT_EQ(target().guards_intact(y), !has_guards());
  } else {
    EXPECT_THROW(read(y, 252), DeviceError);
  }
}

TEST_P(OnDevice, a_write_before_memory_is_noticed) {
  auto* const y = target().allocate(256, std::byte{0});
  if (is_gpu() && !has_guards()) GTEST_SKIP() << "only guards see it";
  copy_to(y - 4);
  if (is_gpu()) {
    read(y, 256);
    EXPECT_FALSE(target().guards_intact(y));
  } else {
    EXPECT_THROW(read(y, 256), DeviceError);
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnDevice);
INSTANTIATE_TEST_SUITE_P(on, OnDevice, testing::ValuesIn(device_backends()), backend_name);

}  // namespace
}  // namespace scrawl::test
