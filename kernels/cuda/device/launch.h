#pragma once
/// How a kernel is run on the machine of kernels/simt:
///
///   run(machine, schedule, {.kernel = "softmax", .blocks = {rows}, .threads = 128}, softmax, x, y)

#include <cstddef>
#include <string_view>
#include <tuple>

#include "kernels/cuda/device/block.h"

#ifndef __CUDACC__
#include "kernels/simt/machine.h"
#endif

namespace SCRAWL_CUDA {

#ifndef __CUDACC__

namespace detail {

template <class... Parameters>
struct Call {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;

  static void lane(const void* call) {
    const auto& self = *static_cast<const Call*>(call);
    std::apply(self.kernel, self.arguments);
  }
};

}  // namespace detail

/// Runs a kernel on the machine.
template <class... Parameters, class... Arguments>
[[nodiscard]] std::optional<Report> run(Machine& machine, const Schedule& schedule, Grid grid,
                                        void (*kernel)(Parameters...), Arguments... arguments) {
  const detail::Call<Parameters...> call{kernel, {arguments...}};
  grid.lane = call.lane;
  grid.call = std::as_bytes(std::span(&call, 1));
  return machine.run(grid, schedule);
}

#endif

}  // namespace SCRAWL_CUDA
