#pragma once
/// Launches for tests of streams.

#include <cstdint>

#include "kernels/simt/runtime_api.h"

namespace scrawl::simt::queued {

/// x[i] = 31 x[i] + value: tells which came first.
cudaError_t mix(int* x, int count, int value, cudaStream_t);
/// The same value by value, over several blocks and arguments of 256 bytes.
struct Values {
  int values[64];
};
cudaError_t mix_values(int* x, const Values&, cudaStream_t);

/// x[i] = x[i - 1] + 1, a block each, which wait for each other: flags (blocks) are zero before.
cudaError_t relay(int* x, std::uint32_t* flags, unsigned blocks, cudaStream_t);

// Wrong.

cudaError_t write_behind_the_end(int* x, int count, cudaStream_t);
cudaError_t write_misaligned(int* x, cudaStream_t);
cudaError_t wait_for_nobody(cudaStream_t);

/// A launch that a GPU would refuse.
cudaError_t ask_for_too_many_threads(int* x, cudaStream_t);
cudaError_t pass_too_many_bytes(cudaStream_t);

}  // namespace scrawl::simt::queued
