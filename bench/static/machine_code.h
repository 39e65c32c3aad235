#pragma once
/// What the compiler made of each kernel: registers and shared memory, and what its busiest loops issue, read
/// from the program itself by NVIDIA's disassembler.

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace scrawl::bench {

/// Instructions by what they are; `all` counts the others, too.
struct Instructions {
  int all = 0;
  int products = 0;      ///< of tensor cores, a warp at a time
  int matrix_loads = 0;  ///< ldmatrix
  int copies = 0;        ///< cp.async
  int global = 0;        ///< loads and stores of global memory, copies among them
  int stores = 0;        ///< to global memory
  int shared = 0;        ///< loads and stores of shared memory, without matrix loads
  int local = 0;         ///< loads and stores of spilled registers
};

struct MachineCode {
  int registers = 0;            ///< of a thread
  std::size_t stack_bytes = 0;  ///< of a thread
  std::size_t shared_bytes =
      0;  ///< of a block, beyond what its launch asks for: 1 KiB is the system's on sm_90
  Instructions whole;
  std::vector<Instructions>
      loops;  ///< each from its first instruction to the branch back, inner ones within outer
};

/// Kernels by function_name().
using Kernels = std::map<std::string, MachineCode, std::less<>>;

/// "convolve<bf16, LargeTile>" of a demangled function, in whichever of our namespaces it stands, and
/// whatever its parameters.
std::string function_name(std::string_view demangled);

/// Adds what `cuobjdump --dump-resource-usage` prints.
void add_usage(std::string_view text, Kernels&);
/// Adds what `cuobjdump -sass` prints.
void add_code(std::string_view text, Kernels&);

/// Of an architecture ("sm_90a") in a program. Throws DeviceError where there is no cuobjdump (in PATH, or in
/// /usr/local/cuda/bin), or no kernel for the architecture.
Kernels kernels_of(const std::filesystem::path& program, std::string_view architecture);

}  // namespace scrawl::bench
