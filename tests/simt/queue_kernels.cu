#include "tests/simt/queue_kernels.h"

#include <span>

#include "kernels/cuda/device/flag.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/warp.h"

namespace scrawl::simt::queued {

namespace {

/// The call is gone when this returns: the launch must have copied it.
template <class... Parameters, class... Arguments>
cudaError_t queue(Grid grid, cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
  detail::Call<Parameters...> call{kernel, {arguments...}};
  std::string name(grid.kernel);
  grid.kernel = name;
  grid.lane = call.lane;
  grid.call = std::as_bytes(std::span(&call, 1));
  const auto error = simt::launch(grid, stream);
  std::fill_n(reinterpret_cast<unsigned char*>(&call), sizeof call, static_cast<unsigned char>(0xee));
  name.assign(name.size(), '?');
  return error;
}

SCRAWL_KERNEL void mix_kernel(int* x, int count, int value) {
  if (thread_index() < count)
    x[thread_index()] =
        static_cast<int>(31u * static_cast<unsigned>(x[thread_index()]) + static_cast<unsigned>(value));
}

SCRAWL_KERNEL void mix_values_kernel(int* x, Values values) {
  const int i = static_cast<int>(block_index().x) * block_size() + thread_index();
  x[i] = 31 * x[i] + values.values[i];
}

SCRAWL_KERNEL void relay_kernel(int* x, std::uint32_t* flags) {
  const auto block = block_index().x;
  if (block > 0) wait_flag(flags + block - 1, 1);
  if (block > 0) x[block] = x[block - 1] + 1;
  raise_flag(flags + block, 1);
}

SCRAWL_KERNEL void write_behind_the_end_kernel(int* x, int count) { x[thread_index() + count] = 0; }
SCRAWL_KERNEL void write_misaligned_kernel(int* x) { *reinterpret_cast<volatile double*>(x + 1) = 0; }
SCRAWL_KERNEL void wait_for_nobody_kernel() {
  if (warp_index() == 0) {
    sync_block();
  } else if (lane_index() == 0) {
    sync_warp();
  } else {
    sync_block();
  }
}

struct TooLarge {
  std::byte bytes[5000];
};
SCRAWL_KERNEL void too_large_kernel(TooLarge) {}

}  // namespace

cudaError_t mix(int* x, int count, int value, cudaStream_t stream) {
  return queue({.kernel = "mix", .threads = 64}, stream, mix_kernel, x, count, value);
}
cudaError_t mix_values(int* x, const Values& values, cudaStream_t stream) {
  return queue({.kernel = "mix_values", .blocks = {4}, .threads = 16}, stream, mix_values_kernel, x, values);
}
cudaError_t relay(int* x, std::uint32_t* flags, unsigned blocks, cudaStream_t stream) {
  return queue({.kernel = "relay", .blocks = {blocks}, .residency = Residency::together}, stream,
               relay_kernel, x, flags);
}
cudaError_t write_behind_the_end(int* x, int count, cudaStream_t stream) {
  return queue({.kernel = "write_behind_the_end", .threads = 2}, stream, write_behind_the_end_kernel, x,
               count);
}
cudaError_t write_misaligned(int* x, cudaStream_t stream) {
  return queue({.kernel = "write_misaligned"}, stream, write_misaligned_kernel, x);
}
cudaError_t wait_for_nobody(cudaStream_t stream) {
  return queue({.kernel = "wait_for_nobody", .threads = 64}, stream, wait_for_nobody_kernel);
}
cudaError_t ask_for_too_many_threads(int* x, cudaStream_t stream) {
  return queue({.kernel = "mix", .threads = 1025}, stream, mix_kernel, x, 1, 1);
}
cudaError_t pass_too_many_bytes(cudaStream_t stream) {
  return queue({.kernel = "too_large"}, stream, too_large_kernel, TooLarge{});
}

}  // namespace scrawl::simt::queued
