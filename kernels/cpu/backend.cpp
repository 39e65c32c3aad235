#include "kernels/cpu/backend.h"

#include "kernels/cpu/layout.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

const Backend& backend() {
  static const Backend table{
      .name = "cpu",
      .bytes = bytes_of,
      .placement = placement_of,
  };
  return table;
}

std::string libraries() {
  const auto* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

bool has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

}  // namespace scrawl::cpu
