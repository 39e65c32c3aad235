#pragma once
/// How long a call's launches should take at least on a GPU that is not here, from what simt counted in some
/// of their blocks and what the compiler made of them. An estimate to compare variants by on paper: a
/// measurement replaces it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/static/machine_code.h"
#include "kernels/simt/machine.h"

namespace scrawl::bench {

/// What a prediction takes for granted.
struct Gpu {
  std::string name, architecture;
  int multiprocessors, warps, blocks;  ///< the last two of a multiprocessor
  int registers;                       ///< of a multiprocessor
  std::size_t shared_bytes;            ///< of a multiprocessor
  double clocks_per_second;
  double bytes_per_second;     ///< read and written
  double flops_per_second[4];  ///< by type_index(): of the fastest instructions there are
  double mma_share;  ///< what mma.sync reaches of these; products by f32's own instructions take all
};

/// An H200. 790 TFLOP/s of bf16 and 4.3 TB/s were measured on one; tf32 has half of that by its data sheet,
/// f32 a multiply-add a clock and lane. The clock is assumed.
extern const Gpu h200;

/// 0 for bf16, 1 for f16, 2 for tf32, 3 for f32.
int type_index(const std::string& type);

/// Blocks of a kernel that a multiprocessor holds at once: the least of what registers, shared memory, warps
/// and blocks allow. Source: CUDA C++ Programming Guide, "Compute Capabilities": registers are given out to a
/// warp by 256, shared memory to a block by 128 bytes. `shared_bytes` has the 1 KiB of
/// the system's own that the compiler counts as the kernel's.
int resident_blocks(const Gpu&, int registers, int threads, std::size_t shared_bytes);

/// A launch, its counts scaled from the counted blocks to all.
struct Predicted {
  std::string kernel;
  std::uint64_t blocks = 0;
  int threads = 0;
  std::size_t shared_bytes = 0;
  int registers = 0;
  int resident = 0;         ///< blocks of a multiprocessor
  double waves = 0;         ///< blocks over all that the GPU holds at once
  double bytes = 0;         ///< that lanes read and wrote of global memory
  double products = 0;      ///< instructions of tensor cores, in a warp
  double instructions = 0;  ///< that a warp issues, by its densest loops; 0 where the code is not known
  std::uint64_t barriers = 0, shuffles = 0, flag_waits = 0;  ///< of one lane: what is serial
  double us = 0;
  std::string by;  ///< memory, issue or arithmetic: what takes longest
};

struct Prediction {
  std::vector<Predicted> launches;
  double us = 0;
  double limit_us = 0;  ///< of the cost, by the rates of the GPU
};

/// `kernels` may lack a launch's: it is predicted by its bytes alone.
Prediction predict(const Gpu&, const std::vector<simt::Counted>&, const Kernels&, const Cost&,
                   const std::string& type);

}  // namespace scrawl::bench
