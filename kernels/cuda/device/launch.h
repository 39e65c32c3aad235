#pragma once
/// How a kernel is started, on a stream:
///
///   launch({.kernel = "softmax", .blocks = {rows}, .threads = 128, .stream = stream}, softmax, x, y);
///
/// Throws DeviceError for what the GPU refuses. What goes wrong in the kernel comes with a later call, or,
/// with SCRAWL_SYNC=1 in the environment, with this one.

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "kernels/cuda/device/block.h"
#include "kernels/cuda/device/runtime.h"
#include "kernels/error.h"
#include "kernels/residency.h"
#include "kernels/view.h"

#ifdef SCRAWL_SIMT
#include "kernels/simt/machine.h"
#endif

namespace SCRAWL_CUDA {

inline constexpr std::size_t most_shared_bytes = 99
                                                 << 10;  ///< of a block on sm_89; sm_80 and sm_90 have more

/// A grid without blocks starts nothing.
struct Launch {
  std::string_view kernel;
  Dim blocks;
  int threads = 1;               ///< of a block
  std::size_t shared_bytes = 0;  ///< of a block
  Residency residency = Residency::apart;
  Stream stream = nullptr;
};

/// The shared memory of a block that is one struct, within the budget of its kernel: how many blocks fit a
/// multiprocessor depends on it.
template <class T, std::size_t kBudget>
inline constexpr std::size_t shared_size = [] {
  static_assert(kBudget <= most_shared_bytes, "more shared memory than a block of sm_89 has");
  static_assert(sizeof(T) <= kBudget, "the kernel outgrows its budget of shared memory");
  return sizeof(T);
}();

/// ceil(count / each), as a number of blocks. Throws ShapeError beyond what a grid can have.
inline unsigned blocks_for(std::int64_t count, std::int64_t each) {
  const auto blocks = (count + each - 1) / each;
  if (blocks > 0x7fffffff) throw ShapeError("launch: expected at most 2147483647 blocks, got {}", blocks);
  return static_cast<unsigned>(blocks);
}

namespace detail {

inline cudaStream_t handle_of(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }

#ifdef SCRAWL_SIMT
template <class... Parameters>
struct Call {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;

  static void lane(const void* call) {
    const auto& self = *static_cast<const Call*>(call);
    std::apply(self.kernel, self.arguments);
  }
};
#endif

}  // namespace detail

#ifdef SCRAWL_SIMT
/// Runs a kernel on a machine of one's own, now.
template <class... Parameters, class... Arguments>
[[nodiscard]] std::optional<Report> run(Machine& machine, const Schedule& schedule, Grid grid,
                                        void (*kernel)(Parameters...), Arguments... arguments) {
  const detail::Call<Parameters...> call{kernel, {arguments...}};
  grid.function = reinterpret_cast<const void*>(kernel);
  grid.lane = call.lane;
  grid.call = std::as_bytes(std::span(&call, 1));
  return machine.run(grid, schedule);
}
#endif

template <class... Parameters, class... Arguments>
void launch(const Launch& l, void (*kernel)(Parameters...), Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's arguments are copied as bytes");
  if (l.blocks.x == 0 || l.blocks.y == 0 || l.blocks.z == 0) return;
  const auto stream = detail::handle_of(l.stream);
#ifdef SCRAWL_SIMT
  const detail::Call<Parameters...> call{kernel, {static_cast<Parameters>(arguments)...}};
  check(launch(Grid{.kernel = l.kernel,
                    .blocks = l.blocks,
                    .threads = l.threads,
                    .shared_bytes = l.shared_bytes,
                    .residency = l.residency,
                    .function = reinterpret_cast<const void*>(kernel),
                    .lane = call.lane,
                    .call = std::as_bytes(std::span(&call, 1))},
               stream),
        l.kernel);
#else
  allow_shared(reinterpret_cast<const void*>(kernel), l.shared_bytes, l.kernel);
  std::tuple<Parameters...> values{static_cast<Parameters>(arguments)...};
  cudaLaunchAttribute together{};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  const cudaLaunchConfig_t config{.gridDim = l.blocks,
                                  .blockDim = dim3(static_cast<unsigned>(l.threads)),
                                  .dynamicSmemBytes = l.shared_bytes,
                                  .stream = stream,
                                  .attrs = &together,
                                  .numAttrs = l.residency == Residency::together ? 1u : 0u};
  std::apply(
      [&](auto&... each) {
        void* pointers[] = {static_cast<void*>(&each)..., nullptr};
        check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers), l.kernel);
      },
      values);
#endif
  end_launch(stream, l.kernel);
}

}  // namespace SCRAWL_CUDA
