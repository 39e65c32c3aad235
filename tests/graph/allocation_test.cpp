/// A step runs in the memory that was planned for it. A program of its own: it replaces malloc.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "kernels/cpu/backend.h"
#include "models/network.h"
#include "tests/graph/test_device.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

std::atomic<bool> watched{false};
std::atomic<std::size_t> allocated{0};

void* seen(void* memory, std::size_t bytes) {
  if (watched.load(std::memory_order_relaxed)) allocated += bytes;
  return memory;
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) { return seen(__libc_malloc(bytes), bytes); }
void* calloc(std::size_t count, std::size_t bytes) {
  return seen(__libc_calloc(count, bytes), count * bytes);
}
void* realloc(void* old, std::size_t bytes) { return seen(__libc_realloc(old, bytes), bytes); }
void* memalign(std::size_t alignment, std::size_t bytes) {
  return seen(__libc_memalign(alignment, bytes), bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return seen(__libc_memalign(alignment, bytes), bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  *memory = seen(__libc_memalign(alignment, bytes), bytes);
  return *memory ? 0 : ENOMEM;
}
}

namespace scrawl {
namespace {

/// Bytes allocated within the third of a recipe's training steps.
std::size_t allocated_in_step(const std::string& name, DType type) {
  const auto recipe = load_recipe(name, "", {});
  constexpr std::int64_t batch = 8;
  const auto device = testing::host_device(cpu::backend());
  Storage storage(*device);
  Arena arena(*device);
  const auto network = build_network(recipe, 20, {.batch = batch}, NetworkUse::training, type);
  Program program(
      *device, storage, arena, network.graph,
      {.loss = network.loss, .optimizer = OptimizerSettings{.hyper = {}, .clip = 1, .decay = {}}});
  initialize(storage, network, 1);
  storage.set(Control::loss_scale, 1);
  if (program.has_input("input_lengths"))
    std::fill_n(program.input("input_lengths").as<std::int32_t>(), batch,
                static_cast<std::int32_t>(network.frames));
  program.run();  // threads start, libraries make what they keep
  program.run();
  allocated = 0;
  watched = true;
  program.run();
  watched = false;
  return allocated;
}

TEST(allocation, the_watch_sees_what_is_allocated) {
  allocated = 0;
  watched = true;
  const std::vector<char> memory(100'000);
  watched = false;
  EXPECT_GE(allocated.load(), memory.size());
}

TEST(allocation, a_step_allocates_at_most_64_kib) {
  for (const std::string recipe : {"mnist", "crnn-small", "crnn", "cnn62"})
    for (const auto type : {DType::f32, DType::bf16})
      EXPECT_LE(allocated_in_step(recipe, type), std::size_t{64} << 10) << recipe << " " << name_of(type);
}

}  // namespace
}  // namespace scrawl

#else

TEST(allocation, a_step_allocates_at_most_64_kib) { GTEST_SKIP() << "a sanitizer has malloc"; }

#endif
